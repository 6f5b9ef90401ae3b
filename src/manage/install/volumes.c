/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/install/volumes.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/os/os.h"

enum { SECTOR = 512, GPT_ENTRIES = 128, GPT_ENTRY = 128, ISO_SECTOR = 2048, ISO_FILES = 8 };

static int cannot_write(struct hull_err *err)
{
	char reason[64];

	hull_fail(err, HULL_EIO, 610, "a file cannot be written: %s",
	          hull_os_reason(errno, reason, sizeof(reason)));
	hull_err_fix(err, "make room on the host's file system, or use --into");
	return HULL_EIO;
}

static int write_sector(int fd, uint64_t lba, const void *data, size_t len, struct hull_err *err)
{
	ssize_t n = pwrite(fd, data, len, (off_t)(lba * SECTOR));

	if (n != (ssize_t)len) {
		errno = n < 0 ? errno : ENOSPC;
		return cannot_write(err);
	}
	return 0;
}

/* CRC-32 of ISO 3309, as GPT wants it. */
static uint32_t crc32_of(const uint8_t *p, size_t len)
{
	uint32_t c = ~0U;

	while (len--) {
		c ^= *p++;
		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (0xedb88320U & -(c & 1));
	}
	return ~c;
}

uint64_t hull_gpt_end(uint64_t disk_size)
{
	uint64_t end = disk_size < HULL_GPT_START * 2 ? 0 : disk_size - 33 * SECTOR - SECTOR;

	return align_down(end, HULL_GPT_START);
}

static void gpt_header(const struct hull_gpt *g, uint64_t me, uint64_t other, uint32_t entries_crc,
                       uint8_t h[SECTOR])
{
	uint64_t sectors = g->size / SECTOR;

	memset(h, 0, SECTOR);
	memcpy(h, "EFI PART", 8);
	store_le32(h + 8, 0x10000);
	store_le32(h + 12, 92);
	store_le64(h + 24, me);
	store_le64(h + 32, other);
	store_le64(h + 40, 34);
	store_le64(h + 48, sectors - 34);
	memcpy(h + 56, g->disk_uuid, 16);
	store_le64(h + 72, me == 1 ? 2 : me - 32);
	store_le32(h + 80, GPT_ENTRIES);
	store_le32(h + 84, GPT_ENTRY);
	store_le32(h + 88, entries_crc);
	store_le32(h + 16, crc32_of(h, 92));
}

int hull_gpt_write(int fd, const struct hull_gpt *g, struct hull_err *err)
{
	uint8_t mbr[SECTOR] = { 0 }, head[SECTOR], entries[GPT_ENTRIES * GPT_ENTRY] = { 0 };
	uint64_t sectors = g->size / SECTOR, last = sectors - 1;
	uint32_t crc;
	int r;

	mbr[446 + 2] = 2; /* from sector 2 in the old way of counting */
	mbr[446 + 4] = 0xee;
	memset(mbr + 446 + 5, 0xff, 3);
	store_le32(mbr + 446 + 8, 1);
	store_le32(mbr + 446 + 12, (uint32_t)MIN(last, (uint64_t)UINT32_MAX));
	store_le16(mbr + 510, 0xaa55);
	memcpy(entries, g->type, 16);
	memcpy(entries + 16, g->part_uuid, 16);
	store_le64(entries + 32, HULL_GPT_START / SECTOR);
	store_le64(entries + 40, hull_gpt_end(g->size) / SECTOR - 1);
	for (unsigned i = 0; g->name[i] && i < 36; i++)
		store_le16(entries + 56 + i * 2, (uint8_t)g->name[i]);
	crc = crc32_of(entries, sizeof(entries));
	r = write_sector(fd, 0, mbr, sizeof(mbr), err);
	gpt_header(g, 1, last, crc, head);
	if (!r)
		r = write_sector(fd, 1, head, sizeof(head), err);
	if (!r)
		r = write_sector(fd, 2, entries, sizeof(entries), err);
	if (!r)
		r = write_sector(fd, last - 32, entries, sizeof(entries), err);
	gpt_header(g, last, 1, crc, head);
	return r ? r : write_sector(fd, last, head, sizeof(head), err);
}

/* The order of the digits' bytes: three little-endian fields, then eight bytes. */
static const uint8_t guid_order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

bool hull_guid_parse(const char *text, uint8_t ret[16])
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned v = 0;

		text += *text == '-';
		for (unsigned d = 0; d < 2; d++, text++) {
			const char *digits = "0123456789abcdef";
			const char *at = *text ? strchr(digits, *text | 0x20) : NULL;

			if (!at)
				return false;
			v = v * 16 + (unsigned)(at - digits);
		}
		ret[guid_order[i]] = (uint8_t)v;
	}
	return !*text;
}

void hull_guid_text(const uint8_t guid[16], char ret[37])
{
	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*ret++ = '-';
		*ret++ = "0123456789abcdef"[guid[guid_order[i]] >> 4];
		*ret++ = "0123456789abcdef"[guid[guid_order[i]] & 15];
	}
	*ret = '\0';
}

static void cpio_pad(FILE *out, size_t len)
{
	while (len++ % 4)
		fputc(0, out);
}

static void cpio_member(FILE *out, unsigned number, const struct hull_blob *b)
{
	size_t name = strlen(b->name) + 1;

	fprintf(out, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", number,
	        b->mode, 0U, 0U, 1U, 0U, b->len, 0U, 0U, b->rdev_major, b->rdev_minor, name, 0U);
	fwrite(b->name, 1, name, out);
	cpio_pad(out, 110 + name);
	if (b->len)
		fwrite(b->data, 1, b->len, out);
	cpio_pad(out, b->len);
}

int hull_cpio_write(FILE *out, const struct hull_blob *files, size_t count, struct hull_err *err)
{
	struct hull_blob end = { .name = "TRAILER!!!" };

	for (size_t i = 0; i < count; i++)
		cpio_member(out, (unsigned)i + 1, &files[i]);
	cpio_member(out, 0, &end);
	return fflush(out) || ferror(out) ? cannot_write(err) : 0;
}

/* ECMA-119 7.2.3 and 7.3.3: a number in both byte orders. */
static void both16(uint8_t *p, uint16_t v)
{
	store_le16(p, v);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void both32(uint8_t *p, uint32_t v)
{
	store_le32(p, v);
	store_be32(p + 4, v);
}

struct iso {
	const char *label;
	struct tm when;
	const struct hull_blob *files;
	size_t count;
	uint32_t at[ISO_FILES + 1]; /* first sector of each file; at[count]: the end */
};

enum { ISO_PVD = 16, ISO_PATHS = 18, ISO_PATHS_BE = 19, ISO_ROOT = 20, ISO_DATA = 21 };

/* A directory record (ECMA-119 9.1) with Rock Ridge behind it; returns its length. */
static size_t iso_record(const struct iso *v, const char *name, size_t name_len, uint32_t at,
                         uint32_t size, uint8_t *p)
{
	p[0] = (uint8_t)(33 + name_len + !(name_len & 1));
	both32(p + 2, at);
	both32(p + 10, size);
	p[18] = (uint8_t)v->when.tm_year;
	p[19] = (uint8_t)(v->when.tm_mon + 1);
	p[20] = (uint8_t)v->when.tm_mday;
	p[21] = (uint8_t)v->when.tm_hour;
	p[22] = (uint8_t)v->when.tm_min;
	p[23] = (uint8_t)v->when.tm_sec;
	p[25] = name_len == 1 && (uint8_t)name[0] < 2 ? 2 : 0; /* a directory */
	both16(p + 28, 1);
	p[32] = (uint8_t)name_len;
	memcpy(p + 33, name, name_len);
	return p[0];
}

/* P1282 4.1.1: mode, links, owner, group. */
static size_t rock_ridge_px(uint8_t *p, uint32_t mode, uint32_t links)
{
	memcpy(p, "PX\44\1", 4);
	both32(p + 4, mode);
	both32(p + 12, links);
	return 36;
}

static size_t rock_ridge_nm(uint8_t *p, const char *name)
{
	size_t len = strlen(name);

	memcpy(p, "NM", 2);
	p[2] = (uint8_t)(5 + len);
	p[3] = 1;
	memcpy(p + 5, name, len);
	return p[2];
}

static void finish_record(uint8_t *p, size_t extra)
{
	p[0] = (uint8_t)align_up(p[0] + extra, 2);
}

static void iso_root(const struct iso *v, uint8_t sector[ISO_SECTOR])
{
	/* SP and ER: SUSP 1.12 5.3 and 5.5; ER names the extension. */
	static const char er[] = "ER\24\1\12\0\0\1RRIP_1991A";
	uint8_t *p = sector;
	size_t n = iso_record(v, "\0", 1, ISO_ROOT, ISO_SECTOR, p), extra = 7;

	memcpy(p + n, "SP\7\1\276\357", 7);
	extra += rock_ridge_px(p + n + extra, 040555, 2);
	memcpy(p + n + extra, er, sizeof(er) - 1);
	p[n + extra + 2] = sizeof(er) - 1;
	extra += sizeof(er) - 1;
	finish_record(p, extra);
	p += p[0];
	n = iso_record(v, "\1", 1, ISO_ROOT, ISO_SECTOR, p);
	finish_record(p, rock_ridge_px(p + n, 040555, 2));
	p += p[0];
	for (size_t i = 0; i < v->count; i++) {
		char plain[] = "FILE0.;1";

		plain[4] = (char)('0' + i);
		n = iso_record(v, plain, strlen(plain), v->at[i], (uint32_t)v->files[i].len, p);
		extra = rock_ridge_px(p + n, 0100444, 1);
		extra += rock_ridge_nm(p + n + extra, v->files[i].name);
		finish_record(p, extra);
		p += p[0];
	}
}

static void pad_text(uint8_t *p, const char *text, size_t len)
{
	size_t n = strnlen(text, len);

	memcpy(p, text, n);
	memset(p + n, ' ', len - n);
}

/* ECMA-119 8.4.26.1: a date in digits. */
static void iso_date(uint8_t *p, const struct tm *t)
{
	char text[17];

	if (strftime(text, sizeof(text), "%Y%m%d%H%M%S00", t) == 16)
		memcpy(p, text, 16);
}

static void iso_pvd(const struct iso *v, uint8_t p[ISO_SECTOR])
{
	memset(p, 0, ISO_SECTOR);
	p[0] = 1;
	memcpy(p + 1, "CD001\1", 6);
	pad_text(p + 8, "LINUX", 32);
	pad_text(p + 40, v->label, 32);
	both32(p + 80, v->at[v->count]);
	both16(p + 120, 1);
	both16(p + 124, 1);
	both16(p + 128, ISO_SECTOR);
	both32(p + 132, 10); /* the path table: one directory */
	store_le32(p + 140, ISO_PATHS);
	store_be32(p + 148, ISO_PATHS_BE);
	iso_record(v, "\0", 1, ISO_ROOT, ISO_SECTOR, p + 156);
	for (unsigned i = 0; i < 4; i++)
		pad_text(p + 190 + i * 128UL, i == 3 ? "HULL" : "", 128);
	pad_text(p + 702, "", 37 * 3);
	iso_date(p + 813, &v->when);
	iso_date(p + 830, &v->when);
	memset(p + 847, '0', 16);
	memset(p + 864, '0', 16);
	p[881] = 1;
}

static void iso_head(const struct iso *v, FILE *out)
{
	uint8_t s[ISO_SECTOR] = { 0 };

	for (int i = 0; i < ISO_PVD; i++)
		fwrite(s, 1, sizeof(s), out);
	iso_pvd(v, s);
	fwrite(s, 1, sizeof(s), out);
	memset(s, 0, sizeof(s));
	memcpy(s, "\377CD001\1", 7);
	fwrite(s, 1, sizeof(s), out);
	/* ECMA-119 9.4: the root, its own parent, once in each byte order. */
	memset(s, 0, sizeof(s));
	s[0] = 1;
	store_le32(s + 2, ISO_ROOT);
	store_le16(s + 6, 1);
	fwrite(s, 1, sizeof(s), out);
	store_be32(s + 2, ISO_ROOT);
	s[6] = 0;
	s[7] = 1;
	fwrite(s, 1, sizeof(s), out);
	memset(s, 0, sizeof(s));
	iso_root(v, s);
	fwrite(s, 1, sizeof(s), out);
}

int hull_iso_write(FILE *out, const char *label, uint32_t time, const struct hull_blob *files,
                   size_t count, struct hull_err *err)
{
	static const uint8_t zeroes[ISO_SECTOR];
	struct iso v = { .label = label, .files = files, .count = count };
	time_t when = (time_t)time;

	if (count > ISO_FILES || !gmtime_r(&when, &v.when))
		return hull_fail(err, HULL_EINVAL, 619, "too many files for a seed volume");
	v.at[0] = ISO_DATA;
	for (size_t i = 0; i < count; i++) {
		if (strlen(files[i].name) > 64 || files[i].len > (size_t)1 << 30)
			return hull_fail(err, HULL_EINVAL, 619, "a seed file is too large");
		v.at[i + 1] = v.at[i] + (uint32_t)((files[i].len + ISO_SECTOR - 1) / ISO_SECTOR);
	}
	iso_head(&v, out);
	for (size_t i = 0; i < count; i++) {
		fwrite(files[i].data, 1, files[i].len, out);
		fwrite(zeroes, 1, align_up(files[i].len, ISO_SECTOR) - files[i].len, out);
	}
	return fflush(out) || ferror(out) ? cannot_write(err) : 0;
}
