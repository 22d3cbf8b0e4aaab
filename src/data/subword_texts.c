/* Strings with numbers, and working memory, for tokenizers of subwords. */
#include "data/subword.h"

LsStatus ls_subword_texts_new(SubwordTexts *texts, int64_t count, int64_t bytes)
{
    texts->bytes = ls_alloc((size_t)bytes + 1);
    texts->start = ls_alloc_array(count + 1, sizeof *texts->start);
    texts->count = count;
    return texts->bytes && texts->start ? LS_OK : LS_RESOURCE;
}

void ls_subword_texts_free(SubwordTexts *texts)
{
    ls_free(texts->bytes);
    ls_free(texts->start);
    *texts = (SubwordTexts){0};
}

LsStatus ls_subword_index_new(SubwordIndex *index, int64_t count)
{
    index->slots = 64;
    while (index->slots < 3 * count)
        index->slots *= 2;
    index->slot = ls_alloc_array(index->slots, sizeof *index->slot);
    if (!index->slot)
        return LS_RESOURCE;
    memset(index->slot, 0xFF, (size_t)index->slots * sizeof *index->slot);
    return LS_OK;
}

void ls_subword_index_add(SubwordIndex *index, const SubwordTexts *texts, int32_t id)
{
    uint64_t mask = (uint64_t)index->slots - 1;
    uint64_t at = XXH3_64bits(texts->bytes + texts->start[id], (size_t)subword_length(texts, id)) & mask;
    while (index->slot[at] >= 0)
        at = (at + 1) & mask;
    index->slot[at] = id;
}

int32_t ls_subword_index_find(const SubwordIndex *index, const SubwordTexts *texts, const char *text, int64_t bytes)
{
    uint64_t mask = (uint64_t)index->slots - 1;
    for (uint64_t at = XXH3_64bits(text, (size_t)bytes) & mask;; at = (at + 1) & mask) {
        int32_t id = index->slot[at];
        if (id < 0 ||
            (subword_length(texts, id) == bytes && memcmp(texts->bytes + texts->start[id], text, (size_t)bytes) == 0))
            return id;
    }
}

char *ls_subword_room(SubwordMemory *memory, int level, int64_t bytes)
{
    if (bytes > memory->room_bytes[level] || !memory->room[level]) {
        ls_free(memory->room[level]);
        memory->room_bytes[level] = bytes + bytes / 2 + 64;
        memory->room[level] = ls_alloc((size_t)memory->room_bytes[level]);
        if (!memory->room[level])
            memory->room_bytes[level] = 0;
    }
    return memory->room[level];
}
