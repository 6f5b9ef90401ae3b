/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Floating point.  Compilers fuse multiplication and addition where a machine can, so results
 * differ in their last bits; check values are of nine digits.
 */
#include "bench.h"

#include <math.h>
#include <string.h>

/* A number of nine digits for the check; the smallest are taken as zero. */
static uint64_t digits(double x)
{
	int exponent = 0;
	double part = frexp(x, &exponent);

	if (exponent < -40)
		return 0;
	return (uint64_t)(int64_t)(part * 1e9 + (part < 0 ? -0.5 : 0.5)) ^ (uint64_t)exponent << 48;
}

/* --- linpack: solve 100 equations by elimination with pivots --- */

#define ROWS 100

static double matrix[ROWS][ROWS], vector[ROWS];

static void make_equations(void)
{
	uint32_t seed = 1325;

	memset(vector, 0, sizeof(vector));
	for (int i = 0; i < ROWS; i++) {
		for (int j = 0; j < ROWS; j++) {
			seed = seed * 1103515245u + 12345;
			matrix[i][j] = ((double)(seed >> 8) - 8388608.0) / 16777216.0;
			vector[i] += matrix[i][j];
		}
	}
}

static FAR void add_row(double *to, const double *from, double factor, int count)
{
	for (int i = 0; i < count; i++)
		to[i] += factor * from[i];
}

static void swap_rows(int a, int b)
{
	double row[ROWS], x = vector[a];

	memcpy(row, matrix[a], sizeof(row));
	memcpy(matrix[a], matrix[b], sizeof(row));
	memcpy(matrix[b], row, sizeof(row));
	vector[a] = vector[b];
	vector[b] = x;
}

static FAR void solve(void)
{
	for (int k = 0; k < ROWS; k++) {
		int pivot = k;

		for (int i = k + 1; i < ROWS; i++)
			if (fabs(matrix[i][k]) > fabs(matrix[pivot][k]))
				pivot = i;
		swap_rows(k, pivot);
		for (int i = k + 1; i < ROWS; i++) {
			double factor = -matrix[i][k] / matrix[k][k];

			add_row(&matrix[i][k], &matrix[k][k], factor, ROWS - k);
			vector[i] += factor * vector[k];
		}
	}
	for (int k = ROWS - 1; k >= 0; k--) {
		vector[k] /= matrix[k][k];
		for (int i = 0; i < k; i++)
			vector[i] -= matrix[i][k] * vector[k];
	}
}

static uint64_t run_linpack(uint64_t n)
{
	double worst = 0;

	while (n--) {
		make_equations();
		solve();
	}
	/* The solution is 1 everywhere. */
	for (int i = 0; i < ROWS; i++)
		worst = fmax(worst, fabs(vector[i] - 1));
	return worst < 1e-9;
}

/* --- nbody: a sun and four planets, 100 steps --- */

struct body {
	double p[3], v[3], mass;
};

static const struct body bodies[5] = {
	{ { 0, 0, 0 }, { 0, 0, 0 }, 40 },
	{ { 5, 0.5, -0.1 }, { 0.1, 2.7, 0 }, 0.04 },
	{ { -2, 9, 0.3 }, { -2, -0.4, 0.1 }, 0.012 },
	{ { 13, -15, 0.2 }, { 1.1, 0.9, 0 }, 0.0017 },
	{ { -16, 25, -0.7 }, { -0.9, -0.6, 0.05 }, 0.002 },
};

static FAR void step(struct body *b, double dt)
{
	for (int i = 0; i < 5; i++) {
		for (int j = i + 1; j < 5; j++) {
			double d[3], square = 0;

			for (int k = 0; k < 3; k++) {
				d[k] = b[i].p[k] - b[j].p[k];
				square += d[k] * d[k];
			}
			double pull = dt / (square * sqrt(square));
			for (int k = 0; k < 3; k++) {
				b[i].v[k] -= d[k] * b[j].mass * pull;
				b[j].v[k] += d[k] * b[i].mass * pull;
			}
		}
	}
	for (int i = 0; i < 5; i++)
		for (int k = 0; k < 3; k++)
			b[i].p[k] += dt * b[i].v[k];
}

static uint64_t run_nbody(uint64_t n)
{
	struct body b[5];

	while (n--) {
		memcpy(b, bodies, sizeof(b));
		for (int i = 0; i < 100; i++)
			step(b, 0.01);
	}
	return fold(digits(b[1].p[0]), digits(b[2].v[1]));
}

/* --- fft: 1024 complex points --- */

#define POINTS 1024

struct complex {
	double re, im;
};

static struct complex root[POINTS / 2], signal_in[POINTS], signal_out[POINTS];

static void setup_fft(void)
{
	uint64_t seed = 21;

	for (int i = 0; i < POINTS / 2; i++) {
		double angle = -2 * 3.14159265358979323846 * i / POINTS;

		root[i] = (struct complex){ cos(angle), sin(angle) };
	}
	for (int i = 0; i < POINTS; i++)
		signal_in[i] = (struct complex){ (double)(next_random(&seed) >> 40) / 16777216, 0 };
}

static FAR void fft(struct complex *a)
{
	for (int i = 1, j = 0; i < POINTS; i++) {
		int bit = POINTS >> 1;

		for (; j & bit; bit >>= 1)
			j ^= bit;
		j ^= bit;
		if (i < j) {
			struct complex swap = a[i];

			a[i] = a[j];
			a[j] = swap;
		}
	}
	for (int half = 1; half < POINTS; half *= 2) {
		for (int i = 0; i < POINTS; i += 2 * half) {
			for (int k = 0; k < half; k++) {
				struct complex w = root[POINTS / 2 / half * k], *x = &a[i + k];
				struct complex *y = x + half;
				double re = y->re * w.re - y->im * w.im;
				double im = y->re * w.im + y->im * w.re;

				*y = (struct complex){ x->re - re, x->im - im };
				*x = (struct complex){ x->re + re, x->im + im };
			}
		}
	}
}

static uint64_t run_fft(uint64_t n)
{
	uint64_t check = 0;

	while (n--) {
		memcpy(signal_out, signal_in, sizeof(signal_out));
		fft(signal_out);
	}
	for (int i = 0; i < POINTS; i += 64)
		check = fold(check, digits(signal_out[i].re));
	return check;
}

/* --- matf32: product of two 64 x 64 matrices of single precision --- */

#define SIDE 64

static float left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

static void setup_matf32(void)
{
	/* Small whole numbers: the sums are exact. */
	for (int i = 0; i < SIDE; i++) {
		for (int j = 0; j < SIDE; j++) {
			left[i][j] = (float)((i * 31 + j * 17) % 61 - 30);
			right[i][j] = (float)((i * 13 + j * 41) % 53 - 26);
		}
	}
}

static FAR void multiply(void)
{
	memset(product, 0, sizeof(product));
	for (int i = 0; i < SIDE; i++)
		for (int k = 0; k < SIDE; k++)
			for (int j = 0; j < SIDE; j++)
				product[i][j] += left[i][k] * right[k][j];
}

static uint64_t run_matf32(uint64_t n)
{
	uint64_t check = 0;

	while (n--)
		multiply();
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++)
			check = fold(check, (uint64_t)(int64_t)product[i][j]);
	return check;
}

/* --- mandel: 32 x 32 points of the Mandelbrot set, at most 200 steps each --- */

static FAR int escape(double x0, double y0)
{
	double x = 0, y = 0;
	int i = 0;

	while (i < 200 && x * x + y * y <= 4) {
		double next = x * x - y * y + x0;

		y = 2 * x * y + y0;
		x = next;
		i++;
	}
	return i;
}

static uint64_t run_mandel(uint64_t n)
{
	uint64_t check = 0;

	while (n--) {
		check = 0;
		for (int i = 0; i < 32; i++)
			for (int j = 0; j < 32; j++)
				check += (uint64_t)escape(-2.1 + i * 0.0871, -1.3 + j * 0.0813);
	}
	return check;
}

/* --- poly: a polynomial at 200 points --- */

static uint64_t run_poly(uint64_t n)
{
	static const double c[12] = { 0.31, -0.27, 0.11, 0.09, -0.21, 0.05,
		                      0.17, -0.03, 0.08, 0.02, -0.13, 0.4 };
	double total = 0;

	while (n--) {
		total = 0;
		for (int i = 0; i < 200; i++) {
			double x = i * 0.007, sum = c[0];

			for (int k = 1; k < 12; k++)
				sum = sum * x + c[k];
			total += sum;
		}
		__asm__ volatile("" : "+m"(total));
	}
	return digits(total);
}

/* --- fconv: between integers and floating point --- */

static uint64_t run_fconv(uint64_t n)
{
	uint64_t check = 0;

	while (n--) {
		int64_t a = 1000003;
		int32_t b = 777;
		double sum = 0;

		for (int i = 0; i < 32; i++) {
			double x = (double)a * 0.5;
			float y = (float)b * 0.25f;

			a = (int64_t)x + (int64_t)i * 65537;
			b = (int32_t)y + (int32_t)(a & 4095);
			sum = (double)(float)(x + (double)y);
		}
		check = fold(fold((uint64_t)a, (uint32_t)b), digits(sum));
	}
	return check;
}

const struct bench bench_fp[] = {
	{ "fp/linpack", run_linpack, NULL, NULL }, { "fp/nbody", run_nbody, NULL, NULL },
	{ "fp/fft", run_fft, setup_fft, NULL },    { "fp/matf32", run_matf32, setup_matf32, NULL },
	{ "fp/mandel", run_mandel, NULL, NULL },   { "fp/poly", run_poly, NULL, NULL },
	{ "fp/fconv", run_fconv, NULL, NULL },     { NULL, NULL, NULL, NULL },
};
