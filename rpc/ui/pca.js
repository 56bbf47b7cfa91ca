// Two principal components of a few numbers for each of many points; pure arithmetic.

const ROUNDS = 60;

/** Positions on the two principal axes, and the share of the variance they hold. Points: arrays of equal length. */
export function principal(points) {
  const size = points[0].length;
  const mean = Array.from(
    { length: size },
    (_, axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length,
  );
  const centred = points.map((point) => point.map((value, axis) => value - mean[axis]));
  const covariance = Array.from({ length: size }, (_, row) =>
    Array.from(
      { length: size },
      (_unused, column) => centred.reduce((sum, point) => sum + point[row] * point[column], 0) / points.length,
    ),
  );
  const total = covariance.reduce((sum, row, axis) => sum + row[axis], 0);
  const first = dominant(covariance);
  const second = dominant(
    covariance.map((row, i) => row.map((value, j) => value - first.value * first.vector[i] * first.vector[j])),
  );
  const positions = centred.map((point) => [dot(point, first.vector), dot(point, second.vector)]);
  return { positions, share: total > 0 ? Math.min((first.value + second.value) / total, 1) : 0 };
}

/** The largest eigenvalue of a symmetric matrix and its vector, by power iteration. */
function dominant(matrix) {
  let vector = matrix.map((_, axis) => 1 + axis / 7);
  for (let round = 0; round < ROUNDS; round += 1) {
    const next = matrix.map((row) => dot(row, vector));
    const length = Math.hypot(...next);
    if (length < 1e-15) {
      return { value: 0, vector: vector.map(() => 0) };
    }
    vector = next.map((value) => value / length);
  }
  return {
    value: dot(
      matrix.map((row) => dot(row, vector)),
      vector,
    ),
    vector,
  };
}

function dot(left, right) {
  return left.reduce((sum, value, axis) => sum + value * right[axis], 0);
}

/**
 * Turn (and mirror, if that fits better) new positions to lie as near as possible to the old ones, by name.
 * The axes' signs and, between equals, their order mean nothing; without this the map would flip about.
 */
export function aligned(positions, names, old) {
  let best = { fit: -Infinity, cos: 1, sin: 0, flip: 1 };
  for (const flip of [1, -1]) {
    let [along, across] = [0, 0];
    positions.forEach(([x, y], index) => {
      const before = old.get(names[index]);
      if (before !== undefined) {
        along += x * before[0] + flip * y * before[1];
        across += x * before[1] - flip * y * before[0];
      }
    });
    const fit = Math.hypot(along, across);
    if (fit > best.fit) {
      best = { fit, cos: fit > 0 ? along / fit : 1, sin: fit > 0 ? across / fit : 0, flip };
    }
  }
  const { cos, sin, flip } = best;
  return positions.map(([x, y]) => [cos * x - sin * flip * y, sin * x + cos * flip * y]);
}
