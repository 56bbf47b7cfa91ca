// The little of SCALE and SS58 that the page needs. Bytes are Uint8Array, numbers beyond 2^53 do not occur.

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

export function toHex(bytes) {
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

export function fromHex(text) {
  const bytes = new Uint8Array((text.length - 2) / 2);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(text.slice(2 + 2 * index, 4 + 2 * index), 16);
  }
  return bytes;
}

export function joined(...parts) {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

export function compact(number) {
  if (number < 1 << 6) {
    return Uint8Array.of(number << 2);
  }
  if (number < 1 << 14) {
    return littleEndian(number * 4 + 1, 2);
  }
  return littleEndian(number * 4 + 2, 4);
}

/** Unsigned, or in two's complement if negative. */
export function littleEndian(number, size) {
  const bytes = new Uint8Array(size);
  let rest = BigInt(number);
  for (let index = 0; index < size; index += 1) {
    bytes[index] = Number(rest & 255n);
    rest >>= 8n;
  }
  return bytes;
}

/** Reads from the front of bytes. Throws a RangeError at their end. */
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.offset = 0;
  }

  take(size) {
    const end = this.offset + size;
    if (end > this.bytes.length) {
      throw new RangeError("bytes are missing");
    }
    const part = this.bytes.subarray(this.offset, end);
    this.offset = end;
    return part;
  }

  byte() {
    return this.take(1)[0];
  }

  u64() {
    return Number(new DataView(this.take(8).slice().buffer).getBigUint64(0, true));
  }

  i64() {
    return Number(new DataView(this.take(8).slice().buffer).getBigInt64(0, true));
  }

  compact() {
    const first = this.byte();
    const mode = first & 3;
    if (mode === 0) {
      return first >> 2;
    }
    const size = mode === 1 ? 2 : mode === 2 ? 4 : (first >> 2) + 5;
    if (size > 9) {
      throw new RangeError("a number is too large");
    }
    let number = 0n;
    const rest = this.take(size - 1);
    for (let index = rest.length - 1; index >= 0; index -= 1) {
      number = number * 256n + BigInt(rest[index]);
    }
    return mode === 3 ? Number(number) : Number((number * 256n + BigInt(first)) >> 2n);
  }

  text() {
    return new TextDecoder().decode(this.take(this.compact()));
  }
}

/** The 32 bytes of an account's address, which the node or the signing worker has checked. */
export function publicKey(address) {
  let number = 0n;
  for (const character of address) {
    number = number * 58n + BigInt(BASE58.indexOf(character));
  }
  const digits = number.toString(16);
  const bytes = fromHex(`0x${digits.length % 2 ? "0" : ""}${digits}`);
  return bytes.subarray(bytes.length - 34, bytes.length - 2);
}
