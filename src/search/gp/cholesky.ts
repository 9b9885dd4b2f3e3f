/** Dense symmetric positive definite algebra on row-major Float64Arrays. `stride` is the length of a row; only the lower triangle is used. */

/** Sum of a[i] * b[j] over `length` entries, in four accumulators so that additions do not wait for each other. */
export function dot(a: Float64Array, ai: number, b: Float64Array, bi: number, length: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let k = 0;
  for (; k + 3 < length; k += 4) {
    s0 += (a[ai + k] as number) * (b[bi + k] as number);
    s1 += (a[ai + k + 1] as number) * (b[bi + k + 1] as number);
    s2 += (a[ai + k + 2] as number) * (b[bi + k + 2] as number);
    s3 += (a[ai + k + 3] as number) * (b[bi + k + 3] as number);
  }
  for (; k < length; k++) s0 += (a[ai + k] as number) * (b[bi + k] as number);
  return s0 + s1 + (s2 + s3);
}

/** Replaces the lower triangle of the n × n matrix by its Cholesky factor. False when the matrix is not positive definite. */
export function cholesky(matrix: Float64Array, n: number, stride: number): boolean {
  for (let i = 0; i < n; i++) {
    const row = i * stride;
    for (let j = 0; j < i; j++) {
      const other = j * stride;
      matrix[row + j] = ((matrix[row + j] as number) - dot(matrix, row, matrix, other, j)) / (matrix[other + j] as number);
    }
    const pivot = (matrix[row + i] as number) - dot(matrix, row, matrix, row, i);
    if (!(pivot > 0)) return false;
    matrix[row + i] = Math.sqrt(pivot);
  }
  return true;
}

/** The inverse of a lower triangular factor, lower triangular too, written to `out` (same stride). */
export function invertLower(factor: Float64Array, n: number, stride: number, out: Float64Array): void {
  for (let i = 0; i < n; i++) {
    const row = i * stride;
    for (let k = 0; k <= i; k++) out[row + k] = 0;
    for (let k = 0; k < i; k++) {
      const scale = factor[row + k] as number;
      if (scale === 0) continue;
      const other = k * stride;
      for (let j = 0; j <= k; j++) out[row + j] = (out[row + j] as number) - scale * (out[other + j] as number);
    }
    const pivot = 1 / (factor[row + i] as number);
    for (let j = 0; j < i; j++) out[row + j] = (out[row + j] as number) * pivot;
    out[row + i] = pivot;
  }
}

/** Lower triangle of inverseᵀ · inverse, which is the inverse of the matrix whose factor's inverse is given. */
export function inverseFromLower(inverse: Float64Array, n: number, stride: number, out: Float64Array): void {
  for (let i = 0; i < n; i++) out.fill(0, i * stride, i * stride + i + 1);
  for (let k = 0; k < n; k++) {
    const row = k * stride;
    for (let i = 0; i <= k; i++) {
      const scale = inverse[row + i] as number;
      const target = i * stride;
      for (let j = 0; j <= i; j++) out[target + j] = (out[target + j] as number) + scale * (inverse[row + j] as number);
    }
  }
}

/** out = lower · v for a lower triangular matrix. */
export function multiplyLower(lower: Float64Array, n: number, stride: number, v: Float64Array, out: Float64Array): void {
  for (let i = 0; i < n; i++) out[i] = dot(lower, i * stride, v, 0, i + 1);
}

/** out = lowerᵀ · v for a lower triangular matrix. */
export function multiplyLowerTransposed(lower: Float64Array, n: number, stride: number, v: Float64Array, out: Float64Array): void {
  out.fill(0, 0, n);
  for (let i = 0; i < n; i++) {
    const scale = v[i] as number;
    const row = i * stride;
    for (let j = 0; j <= i; j++) out[j] = (out[j] as number) + scale * (lower[row + j] as number);
  }
}
