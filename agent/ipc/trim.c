/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ipc/trim.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Relocated data lies in segments that are writable here, even where it was protected since. */
static int give_back(struct dl_phdr_info *object, size_t size, void *ctx)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)size;
    (void)ctx;
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &object->dlpi_phdr[i];

        if (p->p_type != PT_LOAD || (p->p_flags & PF_W))
            continue;
        uintptr_t from = (object->dlpi_addr + p->p_vaddr) & ~(page - 1);
        uintptr_t to = object->dlpi_addr + p->p_vaddr + p->p_filesz;
        madvise((void *)from, to - from, MADV_DONTNEED); /* the vdso says no */
    }
    return 0;
}

void trim_memory(void)
{
    dl_iterate_phdr(give_back, NULL);
    malloc_trim(0);
}
