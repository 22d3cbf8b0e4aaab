/* SentencePiece's tokenizer.model: a protocol buffer, of which this program reads what decides ids. */
#include "data/sentencepiece.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Protocol buffers -------------------------------------------------------------------------------------------- */

/* One field of a message: its number, and a number or bytes. */
typedef struct Field {
    uint64_t number, value;
    const char *bytes; /* NULL: it is a number */
    int64_t count;
} Field;

typedef struct Message {
    const char *at, *end;
    bool broken;
} Message;

static uint64_t read_varint(Message *message)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && message->at < message->end; shift += 7) {
        unsigned char byte = (unsigned char)*message->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80))
            return value;
    }
    message->broken = true;
    return 0;
}

static uint64_t read_fixed(Message *message, int bytes)
{
    uint64_t value = 0;
    if (message->end - message->at < bytes) {
        message->broken = true;
        return 0;
    }
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)(unsigned char)*message->at++ << (8 * i);
    return value;
}

/* False at the end, or where the message is broken. */
static bool next_field(Message *message, Field *field)
{
    *field = (Field){0};
    if (message->at == message->end || message->broken)
        return false;
    uint64_t tag = read_varint(message);
    field->number = tag >> 3;
    switch (tag & 7) {
    case 0:
        field->value = read_varint(message);
        break;
    case 1:
        field->value = read_fixed(message, 8);
        break;
    case 2: {
        uint64_t count = read_varint(message);
        if (message->broken || count > (uint64_t)(message->end - message->at)) {
            message->broken = true;
            break;
        }
        field->bytes = message->at;
        field->count = (int64_t)count;
        message->at += count;
        break;
    }
    case 5:
        field->value = read_fixed(message, 4);
        break;
    default:
        message->broken = true;
    }
    return !message->broken;
}

static Message message_of(const Field *field) { return (Message){field->bytes, field->bytes + field->count, false}; }

static LsStatus broken(const char *path)
{
    return ls_fail(LS_DATA, "%s: is no tokenizer.model of SentencePiece, or damaged", path);
}

/* ---- Pieces ------------------------------------------------------------------------------------------------------ */

#define MOST_PIECES ((int64_t)1 << 24)
#define BLANK_SIGN "\xE2\x96\x81"

typedef struct Piece {
    const char *text;
    int64_t bytes;
    float score;
    int type;
} Piece;

static bool read_piece(const Field *from, Piece *piece)
{
    Message message = message_of(from);
    Field field;
    *piece = (Piece){.text = "", .type = PIECE_NORMAL};
    while (next_field(&message, &field)) {
        uint32_t bits = (uint32_t)field.value;
        if (field.number == 1 && field.bytes) {
            piece->text = field.bytes;
            piece->bytes = field.count;
        } else if (field.number == 2)
            memcpy(&piece->score, &bits, sizeof bits);
        else if (field.number == 3)
            piece->type = (int)field.value;
    }
    return !message.broken && piece->type >= PIECE_NORMAL && piece->type <= PIECE_BYTE;
}

static LsStatus count_pieces(const char *path, Message message, int64_t *count, int64_t *bytes)
{
    Field field;
    Piece piece;
    *count = *bytes = 0;
    while (next_field(&message, &field))
        if (field.number == 1 && field.bytes) {
            if (!read_piece(&field, &piece))
                return broken(path);
            ++*count;
            *bytes += piece.bytes;
        }
    if (message.broken || *count == 0 || *count > MOST_PIECES)
        return broken(path);
    return LS_OK;
}

static LsStatus define(SentencePiece *model, const Piece *piece, int32_t id)
{
    SubwordAdded *added = &model->defined.list[model->defined.count];
    *added = (SubwordAdded){.text = ls_alloc((size_t)piece->bytes + 1), .bytes = piece->bytes, .id = id};
    if (!added->text)
        return LS_RESOURCE;
    memcpy(added->text, piece->text, (size_t)piece->bytes);
    model->defined.count++;
    model->longest_defined = piece->bytes > model->longest_defined ? piece->bytes : model->longest_defined;
    return LS_OK;
}

/* Takes piece `id` in. */
static LsStatus add_piece(const char *path, Subword *subword, const Piece *piece, int32_t id)
{
    SentencePiece *model = subword->piece;
    int64_t at = subword->names.start[id];
    char name[8] = "";
    memcpy(subword->names.bytes + at, piece->text, (size_t)piece->bytes);
    subword->names.start[id + 1] = at + piece->bytes;
    subword->has[id] = true;
    model->score[id] = piece->score;
    model->type[id] = (unsigned char)piece->type;
    if (piece->type == PIECE_NORMAL) {
        model->least = piece->score < model->least ? piece->score : model->least;
        model->most = piece->score > model->most ? piece->score : model->most;
    }
    if (piece->type == PIECE_BYTE) {
        memcpy(name, piece->text, piece->bytes == 6 ? 6 : 0);
        int byte = ls_subword_byte_named(name);
        if (byte < 0)
            return ls_fail(LS_DATA, "%s: piece %d is a byte without a name like <0x0A>", path, (int)id);
        subword->byte_id[byte] = id;
    }
    if (piece->type == PIECE_CONTROL || piece->type == PIECE_UNKNOWN)
        subword->base.special[subword->base.specials++] = id;
    if (piece->type == PIECE_UNKNOWN && subword->base.unknown >= 0)
        return ls_fail(LS_DATA, "%s: has two unknown pieces, %lld and %d", path, (long long)subword->base.unknown,
                       (int)id);
    if (piece->type == PIECE_UNKNOWN)
        subword->base.unknown = id;
    if (piece->type != PIECE_NORMAL && piece->type != PIECE_USER_DEFINED && piece->type != PIECE_UNUSED)
        return LS_OK;
    if (piece->bytes == 0)
        return ls_fail(LS_DATA, "%s: piece %d is empty", path, (int)id);
    if (ls_subword_index_find(&subword->index, &subword->names, piece->text, piece->bytes) >= 0)
        return ls_fail(LS_DATA, "%s: piece %d is there twice", path, (int)id);
    ls_subword_index_add(&subword->index, &subword->names, id);
    return piece->type == PIECE_USER_DEFINED ? define(model, piece, id) : LS_OK;
}

static LsStatus read_pieces(const char *path, Message message, Subword *subword)
{
    int64_t count, bytes;
    SentencePiece *model = subword->piece;
    Field field;
    Piece piece;
    LS_TRY(count_pieces(path, message, &count, &bytes));
    subword->base.vocabulary = count;
    subword->has = ls_alloc_array(count, sizeof *subword->has);
    subword->base.special = ls_alloc_array(count, sizeof *subword->base.special);
    model->score = ls_alloc_array(count, sizeof *model->score);
    model->type = ls_alloc_array(count, sizeof *model->type);
    model->defined.list = ls_alloc_array(count, sizeof *model->defined.list);
    model->least = FLT_MAX;
    model->most = FLT_MIN; /* as the library has it: no score is positive */
    if (!subword->has || !subword->base.special || !model->score || !model->type || !model->defined.list)
        return LS_RESOURCE;
    LS_TRY(ls_subword_texts_new(&subword->names, count, bytes));
    LS_TRY(ls_subword_index_new(&subword->index, count));
    for (int32_t id = 0; next_field(&message, &field);)
        if (field.number == 1 && field.bytes && read_piece(&field, &piece))
            LS_TRY(add_piece(path, subword, &piece, id++));
    if (subword->base.unknown < 0)
        return ls_fail(LS_DATA, "%s: has no unknown piece", path);
    return ls_subword_added_index(&model->defined);
}

/* ---- Settings ---------------------------------------------------------------------------------------------------- */

static LsStatus read_trainer(const char *path, const Field *from, Subword *subword, int64_t *ends)
{
    Message message = message_of(from);
    Field field;
    uint64_t type = 1;
    while (next_field(&message, &field))
        switch (field.number) {
        case 3:
            type = field.value;
            break;
        case 24:
            subword->piece->as_suffix = field.value != 0;
            break;
        case 35:
            subword->byte_fallback = field.value != 0;
            break;
        case 41:
            ends[0] = (int32_t)field.value;
            break;
        case 42:
            ends[1] = (int32_t)field.value;
            break;
        }
    if (message.broken)
        return broken(path);
    if (type != 1 && type != 2)
        return ls_fail(LS_DATA, "%s: is a model of %s, which this program does not know; unigram and BPE are read",
                       path,
                       type == 3   ? "words"
                       : type == 4 ? "characters"
                                   : "another type");
    subword->piece->unigram = type == 1;
    return LS_OK;
}

/* The rules: the bytes of the double array, the array, and the texts that its values are places in. */
static LsStatus read_rules(const char *path, const Field *from, SentencePiece *model)
{
    uint32_t bytes = 0;
    if (from->count == 0)
        return LS_OK;
    if (from->count > 4)
        for (int i = 0; i < 4; i++)
            bytes |= (uint32_t)(unsigned char)from->bytes[i] << (8 * i);
    if (bytes < 4 || bytes % 4 || bytes >= from->count - 4 || from->bytes[from->count - 1] != '\0')
        return ls_fail(LS_DATA, "%s: its rules of normalization are damaged", path);
    model->rules = bytes / 4;
    model->normal_bytes = from->count - 4 - bytes;
    model->rule = ls_alloc_array(model->rules, sizeof *model->rule);
    model->normal = ls_alloc((size_t)model->normal_bytes);
    if (!model->rule || !model->normal)
        return LS_RESOURCE;
    for (int64_t i = 0; i < model->rules; i++)
        for (int k = 0; k < 4; k++)
            model->rule[i] |= (uint32_t)(unsigned char)from->bytes[4 + 4 * i + k] << (8 * k);
    memcpy(model->normal, from->bytes + 4 + bytes, (size_t)model->normal_bytes);
    return LS_OK;
}

static LsStatus read_normalizer(const char *path, const Field *from, SentencePiece *model)
{
    Message message = message_of(from);
    Field field;
    while (next_field(&message, &field))
        switch (field.number) {
        case 2:
            if (field.bytes)
                LS_TRY(read_rules(path, &field, model));
            break;
        case 3:
            model->dummy_prefix = field.value != 0;
            break;
        case 4:
            model->extra_blanks_go = field.value != 0;
            break;
        case 5:
            model->escapes = field.value != 0;
            break;
        }
    return message.broken ? broken(path) : LS_OK;
}

/* Rules by which decoding would change texts. */
static LsStatus check_denormalizer(const char *path, const Field *from)
{
    Message message = message_of(from);
    Field field;
    while (next_field(&message, &field))
        if (field.number == 2 && field.bytes && field.count > 0)
            return ls_fail(LS_DATA, "%s: has rules of denormalization, which this program does not know", path);
    return message.broken ? broken(path) : LS_OK;
}

/* ---- What pieces say --------------------------------------------------------------------------------------------- */

static LsStatus speak(Subword *subword)
{
    const SubwordTexts *names = &subword->names;
    const SentencePiece *model = subword->piece;
    int64_t used = 0, length = sizeof BLANK_SIGN - 1;
    static const char unknown[] = " \xE2\x81\x87 ";
    LS_TRY(ls_subword_texts_new(&subword->spoken, names->count, names->start[names->count] + (int64_t)sizeof unknown));
    char *to = subword->spoken.bytes;
    for (int64_t id = 0; id < names->count; id++) {
        const char *name = names->bytes + names->start[id];
        int64_t bytes = subword_length(names, id);
        char byte_name[8] = "";
        if (model->type[id] == PIECE_BYTE) {
            memcpy(byte_name, name, 6);
            to[used++] = (char)ls_subword_byte_named(byte_name);
        } else if (model->type[id] == PIECE_UNKNOWN) {
            memcpy(to + used, unknown, sizeof unknown - 1);
            used += (int64_t)sizeof unknown - 1;
        } else
            for (int64_t at = model->type[id] == PIECE_CONTROL ? bytes : 0; at < bytes;)
                if (bytes - at >= length && memcmp(name + at, BLANK_SIGN, (size_t)length) == 0) {
                    to[used++] = ' ';
                    at += length;
                } else
                    to[used++] = name[at++];
        subword->spoken.start[id + 1] = used;
    }
    if (model->dummy_prefix || model->extra_blanks_go)
        subword->base.strip = model->extra_blanks_go ? LS_STRIP_EMPTY : LS_STRIP_BLANK;
    return LS_OK;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

void ls_sentencepiece_free(SentencePiece *piece)
{
    if (!piece)
        return;
    ls_free(piece->score);
    ls_free(piece->type);
    ls_free(piece->rule);
    ls_free(piece->normal);
    ls_free(piece->node);
    ls_free(piece->piece_at);
    ls_subword_added_free(&piece->defined);
    ls_free(piece);
}

static int64_t end_of(const Subword *subword, int64_t id)
{
    return id >= 0 && id < subword->base.vocabulary && subword->piece->type[id] == PIECE_CONTROL ? id : -1;
}

LsStatus ls_sentencepiece_read(const char *path, const char *bytes, int64_t count, Subword *subword)
{
    Message message = {bytes, bytes + count, false};
    SentencePiece *model = subword->piece = ls_alloc(sizeof *model);
    Field field;
    int64_t ends[2] = {1, 2};
    if (!model)
        return LS_RESOURCE;
    *model = (SentencePiece){.unigram = true, .dummy_prefix = true, .extra_blanks_go = true, .escapes = true};
    for (Message fields = message; next_field(&fields, &field);) {
        LsStatus status = !field.bytes        ? LS_OK
                          : field.number == 2 ? read_trainer(path, &field, subword, ends)
                          : field.number == 3 ? read_normalizer(path, &field, model)
                          : field.number == 5 ? check_denormalizer(path, &field)
                                              : LS_OK;
        LS_TRY(status);
    }
    LS_TRY(read_pieces(path, message, subword));
    subword->all_bytes = subword->byte_fallback;
    for (int byte = 0; byte < 256; byte++)
        if (subword->byte_fallback && subword->byte_id[byte] < 0)
            return ls_fail(LS_DATA, "%s: falls back to bytes, and has no piece for byte 0x%02X", path, byte);
    for (int64_t id = 0; id < subword->base.vocabulary && !model->unigram; id++)
        if (model->type[id] == PIECE_UNUSED)
            return ls_fail(LS_DATA, "%s: piece %lld of byte pairs is unused, which this program does not know", path,
                           (long long)id);
    subword->base.begin = end_of(subword, ends[0]);
    subword->base.end = end_of(subword, ends[1]);
    LS_TRY(speak(subword));
    LS_TRY(ls_subword_inner(subword));
    return model->unigram ? ls_sentencepiece_tree(subword) : LS_OK;
}
