import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio

from node.executor import Executor, InlineExecutor, ThreadExecutor
from node.signatures import CHUNK, VerifiedSignatures, signature_checks, verify_block_signatures
from pallets.construct import VERSION
from runtime.crypto import KeyPair, Scheme, verify
from runtime.executive import SignedPayloads, TransactionValidator
from runtime.extrinsic import IMMORTAL, Era, Extrinsic, Signature, extrinsic_hash, sign_extrinsic
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.keys import key_pair_from_uri
from runtime.primitives import BlockNumber, Hash, Nonce, blake2b_256
from tests.support.small_chain import PAIRS, SmallChain, remark, submit_rating

ALICE = PAIRS["Alice"]
GENESIS = blake2b_256(b"genesis")
BIRTH = blake2b_256(b"birth")
HASHES = {0: GENESIS, 5: BIRTH}
NUMBER = BlockNumber(7)
INHERENT = Extrinsic(None, bytes((3, 0, 4))).encode()

Checked = list[tuple[Hash, Signature, bytes]]


def block_hash(number: BlockNumber) -> Hash | None:
    return HASHES.get(number)


def signed(nonce: int = 0, *, era: Era = IMMORTAL, birth: Hash = GENESIS, pair: KeyPair = ALICE) -> bytes:
    call = submit_rating(1, 1)
    spec, transaction = VERSION.spec_version, VERSION.transaction_version
    return sign_extrinsic(pair, call, era, Nonce(nonce), spec, transaction, GENESIS, birth)


def forged(raw: bytes) -> bytes:
    """Return an extrinsic with one bit of its signature flipped."""
    extrinsic = Extrinsic.decode(raw)
    assert extrinsic.signature is not None
    signature = extrinsic.signature
    value = bytes((signature.value[0] ^ 1,)) + signature.value[1:]
    other = Signature(signature.account, signature.scheme, value, signature.era, signature.nonce)
    return Extrinsic(other, extrinsic.call).encode()


def question(raw: bytes) -> tuple[Hash, Signature, bytes]:
    """Return what a `SignatureCheck` is asked about an extrinsic."""
    extrinsic = Extrinsic.decode(raw)
    assert extrinsic.signature is not None
    payload = SignedPayloads(VERSION, NUMBER, block_hash).of(extrinsic.call, extrinsic.signature)
    return extrinsic_hash(raw), extrinsic.signature, payload


def recording(answer: bool = True) -> tuple[Checked, Callable[[Hash, Signature, bytes], bool]]:
    """Return a check that always says the same, and the list of what it was asked."""
    asked: Checked = []

    def check(extrinsic: Hash, signature: Signature, payload: bytes) -> bool:
        asked.append((extrinsic, signature, payload))
        return answer

    return asked, check


class TestMemory:
    @pytest.mark.parametrize("scheme", list(Scheme))
    def test_it_tells_good_from_bad(self, scheme: Scheme) -> None:
        raw = signed(pair=key_pair_from_uri("//Alice", scheme))
        signatures = VerifiedSignatures()
        for _ in range(2):
            assert signatures(*question(raw))
            assert not signatures(*question(forged(raw)))
        assert signatures.metrics() == {"remembered": 1, "hits": 1, "misses": 3}

    def test_what_was_good_is_not_checked_again(self) -> None:
        asked, check = recording()
        signatures = VerifiedSignatures(check=check)
        for _ in range(3):
            assert signatures(*question(signed()))
        assert asked == [question(signed())]

    def test_what_was_bad_is(self) -> None:
        """Only good ones take room: nobody can push them out with bad ones."""
        asked, check = recording(answer=False)
        signatures = VerifiedSignatures(check=check)
        for _ in range(3):
            assert not signatures(*question(signed()))
        assert len(asked) == 3
        assert len(signatures) == 0

    def test_the_same_extrinsic_over_another_payload_is_another_signature(self) -> None:
        """A fork with another birth block, or another runtime version, gives it another payload."""
        extrinsic, signature, payload = question(signed())
        signatures = VerifiedSignatures()
        assert signatures(extrinsic, signature, payload)
        assert not signatures(extrinsic, signature, payload[:-1] + bytes((payload[-1] ^ 1,)))

    def test_another_extrinsic_over_the_same_payload_is_another_signature(self) -> None:
        _, _, payload = question(signed())
        signatures = VerifiedSignatures()
        assert signatures(*question(signed()))
        bad = forged(signed())
        signature = Extrinsic.decode(bad).signature
        assert signature is not None
        assert not signatures(extrinsic_hash(bad), signature, payload)

    def test_the_one_not_used_for_longest_is_forgotten(self) -> None:
        asked, check = recording()
        signatures = VerifiedSignatures(2, check)
        first, second, third = (question(signed(nonce)) for nonce in range(3))
        for one in (first, second, first, third, first, second):
            signatures(*one)
        assert asked == [first, second, third, second]
        assert len(signatures) == 2

    def test_threads_may_share_it(self) -> None:
        questions = [question(signed(nonce)) for nonce in range(30)]
        signatures = VerifiedSignatures(20)
        start = threading.Barrier(4, timeout=30)

        def ask(first: int) -> int:
            start.wait()
            turns = [questions[(first + turn) % len(questions)] for turn in range(120)]
            return sum(signatures(*one) for one in turns)

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(ask, (0, 7, 14, 21))) == [120] * 4
        metrics = signatures.metrics()
        assert metrics["remembered"] == 20
        assert metrics["hits"] + metrics["misses"] == 480


class TestBlocks:
    def body(self, count: int) -> list[bytes]:
        era = Era.mortal(4, 5)
        births = [(IMMORTAL, GENESIS), (era, BIRTH)]
        return [
            INHERENT,
            *(signed(nonce, era=births[nonce % 2][0], birth=births[nonce % 2][1]) for nonce in range(count)),
        ]

    def run(self, body: list[bytes], signatures: VerifiedSignatures) -> list[int | None]:
        return [check() for check in signature_checks(body, NUMBER, VERSION, block_hash, signatures)]

    def test_a_body_is_cut_into_chunks_and_every_signature_remembered(self) -> None:
        signatures = VerifiedSignatures()
        assert self.run(self.body(2 * CHUNK), signatures) == [None, None, None]
        assert len(signatures) == 2 * CHUNK

    def test_an_empty_body_needs_no_check(self) -> None:
        assert signature_checks([], NUMBER, VERSION, block_hash, VerifiedSignatures()) == []

    @pytest.mark.parametrize(
        "bad",
        [
            forged(signed()),
            signed(birth=BIRTH),
            signed(era=Era.mortal(4, 6), birth=BIRTH),
            signed()[:-1],
            b"",
        ],
        ids=["signature", "birth hash", "unknown birth block", "length", "nothing"],
    )
    def test_each_chunk_tells_its_first_bad_extrinsic(self, bad: bytes) -> None:
        body = self.body(2 * CHUNK)
        for index in (CHUNK, 2 * CHUNK - 1, 2 * CHUNK):
            body[index] = bad
        assert self.run(body, VerifiedSignatures()) == [None, CHUNK, 2 * CHUNK]

    def test_a_hash_is_looked_up_once_for_many_extrinsics(self) -> None:
        asked: list[BlockNumber] = []

        def look_up(number: BlockNumber) -> Hash | None:
            asked.append(number)
            return HASHES.get(number)

        for check in signature_checks(self.body(10), NUMBER, VERSION, look_up, VerifiedSignatures()):
            assert check() is None
        assert sorted(asked) == [0, 5]

    @pytest.mark.parametrize("executor", [InlineExecutor(), ThreadExecutor()], ids=["inline", "threads"])
    def test_all_chunks_are_run_and_the_first_bad_one_of_the_block_is_told(self, executor: Executor) -> None:
        signatures = VerifiedSignatures()
        good = self.body(3 * CHUNK)
        bad = list(good)
        bad[2 * CHUNK + 1] = bad[CHUNK + 1] = forged(signed())

        async def verify_body(body: list[bytes]) -> int | None:
            return await verify_block_signatures(executor, body, NUMBER, VERSION, block_hash, signatures)

        assert trio.run(verify_body, good) is None
        assert len(signatures) == 3 * CHUNK
        assert trio.run(verify_body, bad) == CHUNK + 1


class TestWithTheRuntime:
    def test_the_payload_is_the_one_that_validation_and_execution_ask_for(self) -> None:
        """What was verified ahead is not verified again by either of them."""
        chain = SmallChain()
        for _ in range(3):
            chain.adopt(chain.build())
        era = Era.mortal(8, 2)
        birth = chain.blocks[1].header.hash()
        hashes = {0: chain.genesis, 2: birth}
        version = chain.runtime.version
        bodies = [
            sign_extrinsic(
                ALICE,
                remark(bytes(length)),
                lasting,
                Nonce(nonce),
                version.spec_version,
                version.transaction_version,
                chain.genesis,
                birth if lasting is era else chain.genesis,
            )
            for nonce, (lasting, length) in enumerate([(era, 1), (IMMORTAL, 1), (era, 300)])
        ]
        block = chain.build(*bodies).block
        signatures = VerifiedSignatures()
        checks = signature_checks(
            block.extrinsics, BlockNumber(4), version, lambda number: hashes.get(number), signatures
        )
        assert [check() for check in checks] == [None]
        assert signatures.metrics() == {"remembered": 3, "hits": 0, "misses": 3}
        validator = TransactionValidator(chain.runtime, chain.state, chain.head, signatures)
        for raw in bodies:
            validator.validate(chain.runtime.prepare(raw))
        chain.runtime.execute_block(block, chain.state, chain.trie, chain.view, chain.head, signatures)
        assert signatures.metrics() == {"remembered": 3, "hits": 6, "misses": 3}

    def test_a_birth_block_that_the_chain_has_forgotten_is_ancient(self) -> None:
        extrinsic = Extrinsic.decode(signed(era=Era.mortal(4, 6)))
        assert extrinsic.signature is not None
        with pytest.raises(InvalidTransaction) as caught:
            SignedPayloads(VERSION, NUMBER, block_hash).of(extrinsic.call, extrinsic.signature)
        assert caught.value.reason is InvalidReason.ANCIENT_BIRTH_BLOCK
        assert str(caught.value) == "Transaction has an ancient birth block"

    def test_the_question_is_the_one_that_the_signer_answered(self) -> None:
        _, signature, payload = question(signed(3, era=Era.mortal(4, 5), birth=BIRTH))
        assert verify(signature.scheme, signature.account, payload, signature.value)
