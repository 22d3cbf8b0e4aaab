/* Conversations from JSON lines: {"messages": [{"role": "user", "content": "..."}, ...]}. */
#include "data/chat.h"

#include <string.h>

static LsStatus add_piece(LsChats *part, LsSpan text, int kind, const LsLines *lines)
{
    if (text.bytes == 0)
        return LS_OK;
    LS_TRY(kind & LS_CHAT_MARKER ? ls_texts_add(&part->piece, text, lines)
                                 : ls_texts_add_copy(&part->piece, text, lines));
    LS_TRY(ls_tokens_reserve(&part->kind, 1));
    part->kind.id[part->kind.count++] = kind;
    return LS_OK;
}

static LsSpan span_of(const char *text) { return (LsSpan){text, text ? (int64_t)strlen(text) : 0}; }

LsSpan ls_chat_find_marker(LsSpan said, const char *const marker[LS_CHAT_MARKERS])
{
    for (int i = 0; i < LS_CHAT_MARKERS; i++) {
        LsSpan text = ls_span_trim(span_of(marker[i]));
        if (text.bytes > 0 && memmem(said.text, (size_t)said.bytes, text.text, (size_t)text.bytes))
            return text;
    }
    return (LsSpan){0};
}

static LsStatus check_content(const LsChatSettings *o, LsSpan content, const LsLines *lines)
{
    LsSpan found = ls_chat_find_marker(content, (const char *const[]){o->system, o->user, o->assistant, o->end});
    return found.bytes == 0 ? LS_OK
                            : ls_lines_fail(lines,
                                            "a message holds the marker '%.*s': choose another by --system, --user, "
                                            "--assistant or --end",
                                            (int)found.bytes, found.text);
}

static LsStatus add_message(const LsChatSettings *o, LsChats *part, const json_t *message, int64_t *answers,
                            const LsLines *lines)
{
    const char *const names[] = {"system", "user", "assistant"}, *const marker[] = {o->system, o->user, o->assistant};
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *said = json_object_get(message, "content");
    size_t which = 0;
    while (role && which < LS_COUNT_OF(names) && strcmp(role, names[which]) != 0)
        which++;
    if (!role)
        return ls_lines_fail(lines, "a message has no \"role\" that is a text: system, user or assistant");
    if (which == LS_COUNT_OF(names))
        return ls_lines_fail(lines, "a message's role is '%s': system, user and assistant are known", role);
    if (!json_is_string(said))
        return ls_lines_fail(lines, "a message of role %s has no \"content\" that is a text", role);
    bool answer = which == 2;
    LsSpan content = {json_string_value(said), (int64_t)json_string_length(said)};
    LS_TRY(check_content(o, content, lines));
    LS_TRY(add_piece(part, span_of(marker[which]), LS_CHAT_MARKER, lines));
    LS_TRY(add_piece(part, content, answer ? LS_CHAT_LEARNT : 0, lines));
    *answers += answer && content.bytes > 0;
    return add_piece(part, span_of(o->end), LS_CHAT_MARKER | (answer ? LS_CHAT_LEARNT : 0), lines);
}

static LsStatus add_conversation(const LsChatSettings *o, LsChats *part, const json_t *object, const LsLines *lines)
{
    const json_t *messages = json_object_get(object, o->messages);
    int64_t answers = 0;
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return ls_lines_fail(lines,
                             "has no \"%s\" that is a list of {\"role\": \"user\", \"content\": \"...\"}; --messages "
                             "names the member",
                             o->messages);
    LS_TRY(ls_tokens_reserve(&part->first, 1));
    part->first.id[part->first.count++] = (int32_t)part->piece.count;
    for (size_t i = 0; i < json_array_size(messages); i++)
        LS_TRY(add_message(o, part, json_array_get(messages, i), &answers, lines));
    return answers > 0 ? LS_OK : ls_lines_fail(lines, "the conversation has no answer (role assistant) to learn from");
}

LsStatus ls_chats_read(const LsChatSettings *o, LsChats *part)
{
    for (int i = 0; i < part->raw.files; i++) {
        LsLines lines = ls_lines(&part->raw.file[i]);
        while (ls_lines_next(&lines)) {
            json_t *object = NULL;
            if (ls_span_trim((LsSpan){lines.text, lines.bytes}).bytes == 0) {
                part->blank++;
                continue;
            }
            LS_TRY(ls_lines_check(&lines));
            LS_TRY(ls_lines_json(&lines, &object));
            LsStatus status = add_conversation(o, part, object, &lines);
            json_decref(object);
            LS_TRY(status);
        }
    }
    return LS_OK;
}

void ls_chats_free(LsChats *part)
{
    ls_texts_free(&part->piece);
    ls_free(part->kind.id);
    ls_free(part->first.id);
    ls_raw_files_close(&part->raw);
}
