/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets are those of the GPT in the UEFI specification, section 5.3. libfdisk can move the second
 * copy, but not in an order that survives the power going. */
#include <endian.h>
#include <string.h>

#include "agent/disk/disk.h"

#define MIB (1024ULL * 1024)
#define HEADER_SIZE 92

enum { /* in the header */
       AT_SIZE = 12,
       AT_CRC = 16,
       AT_MY_LBA = 24,
       AT_OTHER_LBA = 32,
       AT_LAST_USABLE = 48,
       AT_ENTRIES_LBA = 72,
       AT_ENTRIES_N = 80,
       AT_ENTRY_SIZE = 84,
       AT_ENTRIES_CRC = 88,
};
enum { AT_FIRST = 32, AT_LAST = 40 }; /* in an entry */

static uint32_t get32(const unsigned char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static uint64_t get64(const unsigned char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static void put32(unsigned char *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
}

static void put64(unsigned char *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

static uint32_t crc32_of(const unsigned char *p, size_t len)
{
    uint32_t crc = UINT32_MAX;

    while (len--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320U : 0);
    }
    return ~crc;
}

static uint32_t header_crc(const struct gpt *g)
{
    unsigned char copy[HEADER_SIZE];

    memcpy(copy, g->header, sizeof(copy));
    put32(copy + AT_CRC, 0);
    return crc32_of(copy, sizeof(copy));
}

/* The last sector of a partition that reaches the end, in whole MiB. */
static uint64_t end_of(uint64_t sectors, unsigned sector)
{
    uint64_t usable = sectors - 1 - GPT_ENTRIES / sector;

    return usable / (MIB / sector) * (MIB / sector) - 1;
}

bool gpt_valid(const struct gpt *g, uint64_t lba, uint64_t sectors)
{
    uint64_t first = get64(g->entries + AT_FIRST), last = get64(g->entries + AT_LAST);

    return memcmp(g->header, "EFI PART", 8) == 0 && get32(g->header + AT_SIZE) == HEADER_SIZE &&
           get64(g->header + AT_MY_LBA) == lba && get32(g->header + AT_ENTRIES_N) == 128 &&
           get32(g->header + AT_ENTRY_SIZE) == 128 && get32(g->header + AT_CRC) == header_crc(g) &&
           get32(g->header + AT_ENTRIES_CRC) == crc32_of(g->entries, GPT_ENTRIES) &&
           first <= last && last < sectors;
}

bool gpt_covers(const struct gpt *g, uint64_t sectors, unsigned sector)
{
    uint64_t my = get64(g->header + AT_MY_LBA), other = get64(g->header + AT_OTHER_LBA);

    return (my == 1 ? other : my) == sectors - 1 &&
           get64(g->entries + AT_LAST) >= end_of(sectors, sector);
}

void gpt_stretch(struct gpt *g, uint64_t sectors, unsigned sector)
{
    if (get64(g->entries + AT_LAST) < end_of(sectors, sector))
        put64(g->entries + AT_LAST, end_of(sectors, sector));
}

void gpt_seal(struct gpt *g, bool at_end, uint64_t sectors, unsigned sector)
{
    uint64_t n = GPT_ENTRIES / sector;

    put64(g->header + AT_MY_LBA, at_end ? sectors - 1 : 1);
    put64(g->header + AT_OTHER_LBA, at_end ? 1 : sectors - 1);
    put64(g->header + AT_LAST_USABLE, sectors - 2 - n);
    put64(g->header + AT_ENTRIES_LBA, at_end ? sectors - 1 - n : 2);
    put32(g->header + AT_ENTRIES_CRC, crc32_of(g->entries, GPT_ENTRIES));
    put32(g->header + AT_CRC, header_crc(g));
}
