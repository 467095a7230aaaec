/*
 * A name server's outage, for tests: with this before libc, every name is
 * 127.0.0.1, but while there is a FIFO called $S3PIPE_TEST_GATE a look-up
 * waits until somebody opens it for writing. Signals do not end the wait, as
 * they do not end one for a name server.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

typedef int look_up(const char *, const char *, const struct addrinfo *,
    struct addrinfo **);

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
    struct addrinfo **found)
{
	const char *gate = getenv("S3PIPE_TEST_GATE");
	int fd;

	(void)node;
	do {
		fd = gate == NULL ? 0 : open(gate, O_RDONLY);
	} while (fd < 0 && errno == EINTR);
	if (fd > 0)
		close(fd);
	look_up *real = (look_up *)dlsym(RTLD_NEXT, "getaddrinfo");
	return (real("127.0.0.1", service, hints, found));
}
