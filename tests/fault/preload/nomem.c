/* Makes the Nth allocation of one process fail, whenever a test asks for it through a page of memory.
 *
 * Preloaded. NOMEM_PAGE names a file that holds a struct page; its process is chosen by pid, so that processes which
 * inherit the library are left alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct page {
    _Atomic int32_t pid;
    _Atomic int32_t countdown; /* the allocation that makes it 0 fails; 0 or less: none does */
    _Atomic int32_t failed;    /* how many have failed */
};
static struct page *page;

/* glibc's own allocator, under the names that it exports for libraries such as this one. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

__attribute__((constructor)) static void open_page(void)
{
    const char *path = getenv("NOMEM_PAGE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        page = at;
}

static int fails(void)
{
    if (!page || page->countdown <= 0 || page->pid != getpid() || --page->countdown != 0)
        return 0;
    page->failed++;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}
