# mypy: ignore-errors
"""One peer on one split; run by an interpreter of its own that has the peer and none of this project.

`python peer_program.py NAME RATINGS.npz OUT.npz`: `train` and `test` are (N, 3) int64, user, item, stars, in the order
of learning. OUT gets predicted means of the test ratings (not clipped), standard deviations of what will be given
where the peer knows any, and what learning took. Without types: the peers have none.
"""

import sys
import time

import numpy as np

LOWEST, HIGHEST = 1.0, 5.0
BLOCK = 1_000
GIBBS_ITERATIONS, GIBBS_BURN_IN, GIBBS_RANK = 500, 200, 10


def myfm(train, test):
    """Bayesian matrix factorization by Gibbs sampling; the mixture of all kept samples is the prediction."""
    import scipy.sparse as sparse
    from myfm import MyFMRegressor

    # Those who come up in the test only have columns too: they are then drawn from what is learned of their kind.
    users, items = (np.unique(np.concatenate((train[:, column], test[:, column]))) for column in (0, 1))

    def one_hot(rows):
        """One column a user and one an item."""
        ones, lines = np.ones(len(rows)), np.arange(len(rows))
        columns = [
            sparse.csr_matrix((ones, (lines, np.searchsorted(known, values))), (len(rows), known.size))
            for known, values in ((users, rows[:, 0]), (items, rows[:, 1]))
        ]
        return sparse.hstack(columns, format="csr")

    model = MyFMRegressor(rank=GIBBS_RANK, random_seed=42)
    features = one_hot(train)
    kept = GIBBS_ITERATIONS - GIBBS_BURN_IN
    began = time.process_time()
    model.fit(
        features,
        train[:, 2].astype(np.float64),
        n_iter=GIBBS_ITERATIONS,
        n_kept_samples=kept,
        group_shapes=[users.size, items.size],
    )
    learned = time.process_time() - began
    wanted = one_hot(test)
    scores = np.array([sample.predict_score(wanted, []) for sample in model.predictor_.samples])
    noise = np.array([1.0 / hyper.alpha for hyper in model.history_.hypers[-kept:]])
    return scores.mean(axis=0), np.sqrt(scores.var(axis=0) + noise.mean()), learned


def surprise_model(algorithm):
    """Learn with one of Surprise's algorithms."""

    def learn(train, test):
        from surprise import Dataset, Reader

        reader = Reader(rating_scale=(LOWEST, HIGHEST))
        data = Dataset(reader=reader).construct_trainset([(*row, None) for row in train.tolist()])
        model = algorithm()
        began = time.process_time()
        model.fit(data)
        learned = time.process_time() - began
        means = [model.predict(user, item, clip=False).est for user, item, _ in test.tolist()]
        return np.array(means), None, learned

    return learn


def svd():
    """The library's defaults: 100 factors, 20 passes."""
    from surprise import SVD

    return SVD(random_state=0)


def svd_tuned():
    """Stronger regularization and more passes, as tuned runs on this data set have it."""
    from surprise import SVD

    return SVD(n_factors=100, n_epochs=70, lr_all=0.005, reg_all=0.1, random_state=0)


def svd_plus_plus():
    """The library's defaults."""
    from surprise import SVDpp

    return SVDpp(random_state=0, cache_ratings=True)


def river(train, test):
    """One pass of stochastic gradient descent, the way an online learner would go on a chain."""
    model = _river_model()
    rows = train.tolist()
    began = time.process_time()
    for user, item, stars in rows:
        model.learn_one(str(user), str(item), float(stars))
    learned = time.process_time() - began
    return np.array([model.predict_one(str(user), str(item)) for user, item, _ in test.tolist()]), None, learned


def river_prequential(train, _test):
    """Predict each block of 1,000, then learn it, as the chain does; the means are those of the training ratings."""
    model = _river_model()
    means = []
    rows = train.tolist()
    began = time.process_time()
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        means += [model.predict_one(str(user), str(item)) for user, item, _ in block]
        for user, item, stars in block:
            model.learn_one(str(user), str(item), float(stars))
    return np.array(means), None, time.process_time() - began


def _river_model():
    from river import optim, reco

    return reco.BiasedMF(
        n_factors=10,
        bias_optimizer=optim.SGD(0.025),
        latent_optimizer=optim.SGD(0.05),
        weight_initializer=None,
        latent_initializer=optim.initializers.Normal(mu=0.0, sigma=0.1, seed=73),
        l2_bias=0.0,
        l2_latent=0.02,
    )


def implicit(train, _test):
    """Alternating least squares for implicit feedback: its scores rank items and are no ratings."""
    import scipy.sparse as sparse
    from implicit.als import AlternatingLeastSquares

    shape = (train[:, 0].max() + 1, train[:, 1].max() + 1)
    matrix = sparse.csr_matrix((train[:, 2].astype(np.float32), (train[:, 0], train[:, 1])), shape)
    model = AlternatingLeastSquares(factors=10, random_state=0, num_threads=1)
    began = time.process_time()
    model.fit(matrix, show_progress=False)
    return None, None, time.process_time() - began


PEERS = {
    "myfm": myfm,
    "surprise-svd": surprise_model(svd),
    "surprise-svd-tuned": surprise_model(svd_tuned),
    "surprise-svd++": surprise_model(svd_plus_plus),
    "river": river,
    "river-prequential": river_prequential,
    "implicit": implicit,
}


def main(name, ratings, out):
    """Run one peer."""
    with np.load(ratings) as data:
        train, test = data["train"], data["test"]
    mean, deviation, cpu = PEERS[name](train, test)
    found = {"cpu": np.array(cpu)}
    if mean is not None:
        found["mean"] = mean
    if deviation is not None:
        found["deviation"] = deviation
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
