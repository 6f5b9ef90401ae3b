/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Integer programs: records and strings, a mix of kernels, hashing, packing, sorting, arithmetic.
 */
#include "bench.h"

#include <string.h>

/* --- dhry: records, strings, calls, in the manner of Dhrystone --- */

enum colour { RED, GREEN, BLUE, WHITE, BLACK };

struct record {
	struct record *other;
	enum colour colour, wish;
	int amount;
	char text[31];
};

static struct record rec_a, rec_b;
static int table_one[50], table_two[50][50];
static char last_letter;

static FAR int text_order(const char *a, const char *b, enum colour *colour)
{
	int at = 2;
	char letter = 'A';

	while (at <= 2) {
		if (a[at] == b[at + 1])
			letter = 'Z';
		at++;
	}
	last_letter = letter;
	if (strcmp(a, b) > 0) {
		*colour = BLUE;
		return 1;
	}
	return letter == 'Z';
}

static FAR enum colour repaint(enum colour c, int amount)
{
	switch (c) {
	case RED: return BLACK;
	case GREEN: return amount > 100 ? RED : WHITE;
	case BLUE: return GREEN;
	case WHITE: return BLUE;
	default: return RED;
	}
}

static FAR void fill_tables(int *one, int two[50][50], int at, int value)
{
	one[at] = value;
	one[at + 1] = one[at];
	one[at + 30] = at;
	for (int i = at; i <= at + 1; i++)
		two[at][i] = at;
	two[at][at - 1]++;
	two[at + 20][at] = one[at];
}

static FAR void copy_record(struct record *from)
{
	struct record *to = from->other;

	*to = *from;
	from->amount = 5;
	to->amount = from->amount;
	to->other = from->other;
	if (to->colour == RED) {
		to->amount = 6;
		to->wish = repaint(from->wish, to->amount);
		to->amount += 10;
	} else {
		*from = *to;
	}
}

static uint64_t run_dhry(uint64_t n)
{
	static const char first[31] = "a program of records, part one.";
	static const char second[31] = "a program of records, part two.";
	char a[31], b[31];
	enum colour colour;
	int x, y, z;
	uint64_t check = 0;

	while (n--) {
		rec_a = (struct record){ &rec_b, RED, BLUE, 40, "" };
		memcpy(rec_a.text, first, sizeof(first));
		memcpy(a, first, sizeof(a));
		memcpy(b, second, sizeof(b));
		a[30] = b[30] = 0;
		colour = GREEN;
		table_two[8][7] = 10;
		x = 2;
		y = 3;
		z = 0;
		int order = !text_order(a, b, &colour);
		while (x < y) {
			z = 5 * x - y;
			z += x + y;
			x++;
		}
		fill_tables(table_one, table_two, 8, z);
		copy_record(&rec_a);
		for (char c = 'A'; c <= last_letter && c < 'D'; c++)
			if (colour == repaint(RED, c))
				colour = BLACK;
		y = y * x;
		x = y / z;
		y = 7 * (y - z) - x;
		check = fold(fold((uint64_t)(x + y + order), (uint64_t)rec_b.wish),
		             (uint64_t)(table_two[8][7] + table_one[38] + (int)colour));
	}
	return check;
}

/* --- core: a list, a matrix, a state machine and a checksum, in the manner of CoreMark --- */

#define NODES 40
#define SIDE  12

struct node {
	struct node *next;
	int16_t value, index;
};

static struct node nodes[NODES];
static int16_t mat_a[SIDE][SIDE], mat_b[SIDE][SIDE];
static int32_t mat_c[SIDE][SIDE];
static char numbers[400];

static FAR uint16_t crc16(uint16_t crc, uint32_t value)
{
	for (int i = 0; i < 16; i++) {
		int bit = (crc ^ value) & 1;

		crc >>= 1;
		if (bit)
			crc ^= 0xa001;
		value >>= 1;
	}
	return crc;
}

static FAR int by_value(const struct node *a, const struct node *b)
{
	return a->value - b->value;
}

static FAR int by_index(const struct node *a, const struct node *b)
{
	return a->index - b->index;
}

static struct node *merge(struct node *a, struct node *b,
                          int (*order)(const struct node *, const struct node *))
{
	struct node head = { 0 }, *tail = &head;

	while (a && b) {
		struct node **from = order(a, b) <= 0 ? &a : &b;

		tail->next = *from;
		tail = *from;
		*from = (*from)->next;
	}
	tail->next = a ? a : b;
	return head.next;
}

static FAR struct node *sort_list(struct node *list,
                                  int (*order)(const struct node *, const struct node *))
{
	struct node *slow = list, *fast = list, *half;

	if (!list || !list->next)
		return list;
	while (fast->next && fast->next->next) {
		slow = slow->next;
		fast = fast->next->next;
	}
	half = slow->next;
	slow->next = NULL;
	return merge(sort_list(list, order), sort_list(half, order), order);
}

static FAR uint16_t core_list(uint16_t crc)
{
	struct node *list = NULL, *turned = NULL;

	for (int i = NODES - 1; i >= 0; i--) {
		nodes[i] = (struct node){ list, (int16_t)((i * 7919 ^ crc) & 0x7fff), (int16_t)i };
		list = &nodes[i];
	}
	for (int want = 0; want < 16; want++) {
		struct node *at = list;

		while (at && (at->value & 15) != want)
			at = at->next;
		crc = crc16(crc, at ? (uint32_t)at->index : 99);
	}
	while (list) {
		struct node *next = list->next;

		list->next = turned;
		turned = list;
		list = next;
	}
	list = sort_list(turned, by_value);
	crc = crc16(crc, (uint32_t)list->value);
	list = sort_list(list, by_index);
	return crc16(crc, (uint32_t)list->value);
}

static FAR uint16_t core_matrix(uint16_t crc, int16_t add)
{
	int32_t sum = 0;

	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++)
			mat_a[i][j] = (int16_t)(mat_b[i][j] + add);
	for (int i = 0; i < SIDE; i++) {
		for (int j = 0; j < SIDE; j++) {
			int32_t dot = 0;

			for (int k = 0; k < SIDE; k++)
				dot += mat_a[i][k] * mat_b[k][j];
			mat_c[i][j] = dot;
		}
	}
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++)
			sum += mat_c[i][j] >> 3 & 0x7f;
	return crc16(crc, (uint32_t)sum);
}

enum state { START, SIGN, WHOLE, POINT, FRACTION, EXPONENT, WRONG, STATES };

static enum state next_state(enum state s, char c)
{
	int digit = c >= '0' && c <= '9';

	switch (s) {
	case START: return digit ? WHOLE : c == '-' || c == '+' ? SIGN : c == '.' ? POINT : WRONG;
	case SIGN: return digit ? WHOLE : c == '.' ? POINT : WRONG;
	case WHOLE: return digit ? WHOLE : c == '.' ? FRACTION : c == 'e' ? EXPONENT : WRONG;
	case POINT: return digit ? FRACTION : WRONG;
	case FRACTION: return digit ? FRACTION : c == 'e' ? EXPONENT : WRONG;
	case EXPONENT: return digit || c == '-' ? EXPONENT : WRONG;
	default: return WRONG;
	}
}

static FAR uint16_t core_state(uint16_t crc)
{
	uint32_t ends[STATES] = { 0 }, moves[STATES] = { 0 };
	enum state s = START;

	for (const char *at = numbers; *at; at++) {
		if (*at == ',') {
			ends[s]++;
			s = START;
			continue;
		}
		enum state next = next_state(s, *at);
		if (next != s)
			moves[next]++;
		s = next;
	}
	for (int i = 0; i < STATES; i++)
		crc = crc16(crc16(crc, ends[i]), moves[i]);
	return crc;
}

static void setup_core(void)
{
	static const char *const words[] = { "12",    "-7.25", "+3e-4", ".5",     "9x",
		                             "1.2e9", "--1",   "77777", "0.0001", "e4" };
	uint64_t seed = 3;
	size_t at = 0;

	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++)
			mat_b[i][j] = (int16_t)(next_random(&seed) >> 56);
	for (;;) {
		const char *word = words[next_random(&seed) >> 32 & 7];
		size_t length = strlen(word);

		if (at + length + 2 > sizeof(numbers))
			break;
		memcpy(numbers + at, word, length);
		at += length;
		numbers[at++] = ',';
	}
}

static uint64_t run_core(uint64_t n)
{
	uint16_t crc = 0;

	while (n--) {
		crc = 0;
		for (int i = 0; i < 4; i++) {
			crc = core_list(crc);
			crc = core_matrix(crc, (int16_t)(i - 2));
			crc = core_state(crc);
		}
	}
	return crc;
}

/* --- sha256 (FIPS 180-4) of 4 KiB --- */

static const uint32_t round_words[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static uint8_t message[8192];

static uint32_t turn(uint32_t x, int by)
{
	return x >> by | x << (32 - by);
}

static FAR void sha256_block(uint32_t h[8], const uint8_t *p)
{
	uint32_t w[64], s[8];

	for (int i = 0; i < 16; i++, p += 4)
		w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) +
		       (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
	}
	memcpy(s, h, sizeof(s));
	for (int i = 0; i < 64; i++) {
		uint32_t e = s[4], a = s[0];
		uint32_t one = s[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) +
		               ((e & s[5]) ^ (~e & s[6])) + round_words[i] + w[i];
		uint32_t two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) +
		               ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));

		memmove(s + 1, s, 7 * sizeof(s[0]));
		s[4] += one;
		s[0] = one + two;
	}
	for (int i = 0; i < 8; i++)
		h[i] += s[i];
}

static void setup_message(void)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)(next_random(&seed) >> 40);
}

static uint64_t run_sha256(uint64_t n)
{
	uint32_t h[8];

	while (n--) {
		static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

		memcpy(h, start, sizeof(h));
		for (size_t at = 0; at < 4096; at += 64)
			sha256_block(h, message + at);
	}
	return (uint64_t)h[0] << 32 | h[7];
}

/* --- lz: pack 64 KiB by references to what was seen before, unpack, compare --- */

#define PLAIN (64 * 1024)

static uint8_t plain[PLAIN], packed[PLAIN * 2], unpacked[PLAIN];

static uint32_t four(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Copies literals of [from, to) behind their count, which is a row of bytes that ends below 255. */
static uint8_t *put_literals(uint8_t *out, const uint8_t *from, const uint8_t *to)
{
	size_t count = (size_t)(to - from), left = count;

	for (; left >= 255; left -= 255)
		*out++ = 255;
	*out++ = (uint8_t)left;
	for (size_t i = 0; i < count; i++)
		*out++ = from[i];
	return out;
}

/* Packs into pairs: literals, then length - 4 (at most 255) and distance of a repetition. */
static FAR size_t lz_pack(uint8_t *out, const uint8_t *in, size_t size)
{
	static uint16_t seen[4096];
	const uint8_t *at = in, *done = in, *end = in + size;
	uint8_t *start = out;

	memset(seen, 0, sizeof(seen));
	while (at + 4 < end) {
		uint32_t slot = four(at) * 2654435761u >> 20;
		const uint8_t *old = in + seen[slot];
		size_t length = 0;

		seen[slot] = (uint16_t)(at - in);
		if (old < at && four(old) == four(at))
			for (length = 4; length < 259 && at + length < end; length++)
				if (old[length] != at[length])
					break;
		if (!length) {
			at++;
			continue;
		}
		out = put_literals(out, done, at);
		*out++ = (uint8_t)(length - 4);
		*out++ = (uint8_t)(at - old);
		*out++ = (uint8_t)((at - old) >> 8);
		at += length;
		done = at;
	}
	return (size_t)(put_literals(out, done, end) - start);
}

static FAR size_t lz_unpack(uint8_t *out, const uint8_t *in, size_t size)
{
	const uint8_t *end = in + size;
	uint8_t *start = out;

	while (in < end) {
		size_t count = 0, length;

		while (*in == 255)
			count += *in++;
		for (count += *in++; count; count--)
			*out++ = *in++;
		if (in >= end)
			break;
		length = 4u + in[0];
		const uint8_t *from = out - (in[1] | in[2] << 8);
		in += 3;
		while (length--)
			*out++ = *from++;
	}
	return (size_t)(out - start);
}

static void setup_lz(void)
{
	static const char *const words[] = {
		"the ", "guest ", "page ",  "table ", "of ",      "a ",  "register ", "interrupt ",
		"and ", "clock ", "queue ", "is ",    "written ", "by ", "device ",   "memory\n",
	};
	uint64_t seed = 5;

	for (size_t at = 0; at < PLAIN;) {
		uint64_t r = next_random(&seed) >> 20;
		const char *word = words[r & 15];

		for (; *word && at < PLAIN; word++)
			plain[at++] = (uint8_t)*word;
		if ((r & 0x700) == 0 && at < PLAIN)
			plain[at++] = (uint8_t)(r >> 12);
	}
}

static uint64_t run_lz(uint64_t n)
{
	size_t size = 0;

	while (n--) {
		size = lz_pack(packed, plain, PLAIN);
		if (lz_unpack(unpacked, packed, size) != PLAIN ||
		    memcmp(plain, unpacked, PLAIN) != 0)
			bench_die("int/lz");
	}
	return size;
}

/* --- sort: quicksort of 32768 keys --- */

#define KEYS 32768

static uint32_t keys[KEYS];

static void quicksort(uint32_t *a, ptrdiff_t count)
{
	while (count > 12) {
		uint32_t x = a[0], y = a[count / 2], z = a[count - 1];
		uint32_t pivot = x < y ? (y < z ? y : x < z ? z : x) : (x < z ? x : y < z ? z : y);
		ptrdiff_t i = -1, j = count;

		for (;;) {
			while (a[++i] < pivot)
				;
			while (a[--j] > pivot)
				;
			if (i >= j)
				break;
			uint32_t swap = a[i];
			a[i] = a[j];
			a[j] = swap;
		}
		quicksort(a, j + 1);
		a += j + 1;
		count -= j + 1;
	}
	for (ptrdiff_t i = 1; i < count; i++) {
		uint32_t key = a[i];
		ptrdiff_t j = i;

		for (; j > 0 && a[j - 1] > key; j--)
			a[j] = a[j - 1];
		a[j] = key;
	}
}

static uint64_t run_sort(uint64_t n)
{
	uint64_t check = 0;

	while (n--) {
		uint64_t seed = 11;

		for (int i = 0; i < KEYS; i++)
			keys[i] = (uint32_t)(next_random(&seed) >> 32);
		quicksort(keys, KEYS);
		check = 0;
		for (int i = 0; i < KEYS; i += 1024)
			check = fold(check, keys[i]);
	}
	return check;
}

/* --- crc32 of 8 KiB by a table --- */

static uint32_t crc_table[256];

static void setup_crc32(void)
{
	setup_message();
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
		crc_table[i] = c;
	}
}

static uint64_t run_crc32(uint64_t n)
{
	uint32_t c = 0;

	while (n--) {
		c = 0xffffffff;
		for (size_t i = 0; i < sizeof(message); i++)
			c = crc_table[(c ^ message[i]) & 255] ^ c >> 8;
		__asm__ volatile("" : "+r"(c)::"memory");
	}
	return ~c;
}

/* --- muldiv: multiplication, division and remainder of both widths --- */

static uint64_t run_muldiv(uint64_t n)
{
	uint64_t check = 0;

	while (n--) {
		uint64_t a = 0x123456789abcdef1, b = 0xfedcba987;
		int32_t c = -77777777, d = 1234;

		for (int i = 0; i < 16; i++) {
			uint64_t high = (uint64_t)((unsigned __int128)a * b >> 64);

			a = a / (b | 1) * 0x5851f42d4c957f2d + high;
			b = (b ^ a % (high | 3)) | 5;
			c = (int32_t)((uint32_t)c * 1664525u + (uint32_t)a) | 1;
			d = d % (c | 1) + (int32_t)((int64_t)a / c);
		}
		check = fold(fold(a, b), (uint32_t)d);
	}
	return check;
}

const struct bench bench_int[] = {
	{ "int/dhry", run_dhry, NULL, NULL },
	{ "int/core", run_core, setup_core, NULL },
	{ "int/sha256", run_sha256, setup_message, NULL },
	{ "int/lz", run_lz, setup_lz, NULL },
	{ "int/sort", run_sort, NULL, NULL },
	{ "int/crc32", run_crc32, setup_crc32, NULL },
	{ "int/muldiv", run_muldiv, NULL, NULL },
	{ NULL, NULL, NULL, NULL },
};
