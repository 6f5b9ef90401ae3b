/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * NBD: the first byte says whether the rest is what a server says to our client, or what a
 * client says to our server.  The peer shuts its side down behind it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "host/block/image.h"
#include "host/block/nbd.h"
#include "host/socket.h"

static char folder[64], address[128], uri[192], disk[128];

static void tidy(void)
{
	unlink(disk);
	unlink(address + 5);
	rmdir(folder);
}

static void prepare(void)
{
	FILE *f;

	if (folder[0])
		return;
	hull_format(folder, sizeof(folder), "/tmp/hull-fuzz-nbd-XXXXXX");
	if (!mkdtemp(folder))
		abort();
	hull_format(address, sizeof(address), "unix:%s/socket", folder);
	hull_format(uri, sizeof(uri), "nbd:unix:%s/socket", folder);
	hull_format(disk, sizeof(disk), "%s/disk", folder);
	f = fopen(disk, "w");
	if (!f || ftruncate(fileno(f), 1 << 20))
		abort();
	fclose(f);
	atexit(tidy);
}

struct script {
	int listener;
	const uint8_t *data;
	size_t size;
};

static void *speak(void *arg)
{
	const struct script *s = arg;
	int fd = accept(s->listener, NULL, NULL);

	if (fd < 0)
		return NULL;
	(void)!hull_socket_write(fd, s->data, s->size, 1000);
	shutdown(fd, SHUT_WR);
	(void)!hull_socket_skip(fd, UINT64_MAX, 1000);
	close(fd);
	return NULL;
}

static void fuzz_client(const uint8_t *data, size_t size)
{
	struct hull_image_options o = { .path = uri, .format = "raw", .read_only = true };
	struct script s = { hull_socket_listen(address, NULL), data, size };
	struct hull_image_extent e;
	struct hull_image *img;
	static char buf[65536];
	pthread_t t;

	if (s.listener < 0 || pthread_create(&t, NULL, speak, &s))
		abort();
	if (!hull_image_open(&o, &img, NULL)) {
		(void)!hull_image_read(img, 0, buf,
		                       img->size < sizeof(buf) ? img->size : sizeof(buf));
		(void)!hull_image_map(img, 0, img->size, &e);
		hull_image_unref(img);
	}
	shutdown(s.listener, SHUT_RDWR);
	pthread_join(t, NULL);
	close(s.listener);
}

static void fuzz_server(const uint8_t *data, size_t size)
{
	struct hull_image_options o = { .path = disk, .format = "raw" };
	struct hull_nbd_serve serve = { .address = address, .name = "x" };
	struct hull_nbd_server *s;
	char byte;
	int fd;

	if (hull_image_open(&o, &serve.image, NULL) || hull_nbd_serve(&serve, &s, NULL))
		abort();
	hull_image_unref(serve.image);
	fd = hull_socket_connect(address, 1000, NULL);
	if (fd < 0)
		abort();
	(void)!hull_socket_write(fd, data, size, 1000);
	shutdown(fd, SHUT_WR);
	while (hull_socket_read(fd, &byte, 1, 1000))
		;
	close(fd);
	hull_nbd_server_stop(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	prepare();
	if (!size)
		return 0;
	if (data[0] & 1)
		fuzz_server(data + 1, size - 1);
	else
		fuzz_client(data + 1, size - 1);
	return 0;
}
