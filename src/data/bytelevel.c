#include "data/bytelevel.h"

/* Bytes that are visible Latin-1 characters stand for themselves, the other 68 for U+0100 onwards in their order. */
static bool is_visible(unsigned code)
{
    return (code >= '!' && code <= '~') || (code >= 0xA1 && code <= 0xFF && code != 0xAD);
}

uint32_t ls_bytelevel_code(unsigned char byte)
{
    if (is_visible(byte))
        return byte;
    uint32_t code = 0x100;
    for (unsigned before = 0; before < byte; before++)
        code += !is_visible(before);
    return code;
}

int ls_bytelevel_byte(uint32_t code)
{
    if (code < 0x100)
        return is_visible(code) ? (int)code : -1;
    for (unsigned byte = 0; byte < 0x100; byte++)
        if (!is_visible(byte) && code-- == 0x100)
            return (int)byte;
    return -1;
}

static json_t *added_token(const char *content, json_int_t id, bool special)
{
    return json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", content, "single_word", 0, "lstrip", 0,
                     "rstrip", 0, "normalized", special ? 0 : 1, "special", special ? 1 : 0);
}

json_t *ls_bytelevel_json(json_t *vocabulary, json_t *merges, const LsBytelevelForm *form)
{
    json_t *added = json_array(), *normalizer = form->nfc ? json_pack("{s:s}", "type", "NFC") : json_null();
    if (form->special)
        json_array_append_new(added, added_token(form->special, (json_int_t)form->special_id, true));
    for (size_t i = 0; i < json_array_size(form->added); i++) {
        const char *content = json_string_value(json_array_get(form->added, i));
        json_array_append_new(added,
                              added_token(content, json_integer_value(json_object_get(vocabulary, content)), false));
    }
    json_t *split = json_null(), *decoder;
    if (form->level) {
        split = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
                          "use_regex", form->words ? 1 : 0);
        decoder = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
                            "use_regex", 1);
    } else
        decoder = json_pack("{s:s}", "type", "Fuse");
    json_t *model = json_pack("{s:s, s:n, s:n, s:s, s:s, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                              "continuing_subword_prefix", "", "end_of_word_suffix", "", "fuse_unk", 0, "byte_fallback",
                              0, "vocab", vocabulary, "merges", merges);
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:n, s:o, s:o}", "version", "1.0", "truncation", "padding",
                     "added_tokens", added, "normalizer", normalizer, "pre_tokenizer", split, "post_processor",
                     "decoder", decoder, "model", model);
}

json_t *ls_bytelevel_config_json(const char *class, const char *special)
{
    json_t *config = json_pack("{s:s, s:b, s:b}", "tokenizer_class", class, "add_prefix_space", 0,
                               "clean_up_tokenization_spaces", 0);
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token"};
    for (size_t i = 0; config && special && i < LS_COUNT_OF(roles); i++)
        json_object_set_new(config, roles[i], json_string(special));
    return config;
}

LsStatus ls_bytelevel_write_config(const char *folder, json_t *config)
{
    LsStatus status = ls_json_file_write(folder, "tokenizer_config.json", config);
    json_decref(config);
    return status;
}

LsStatus ls_bytelevel_write_plain(const LsTokenizer *tokenizer, const uint32_t *vocabulary, bool level,
                                  const char *folder)
{
    json_t *own = tokenizer->kind->describe(tokenizer), *names = json_object();
    for (int64_t i = 0; i < tokenizer->vocabulary; i++) {
        char name[4];
        int length = ls_utf8_encode(vocabulary[i], name);
        json_object_setn_new(names, name, (size_t)length, json_integer(i));
    }
    json_t *other = ls_bytelevel_json(names, json_array(), &(LsBytelevelForm){.level = level});
    json_object_set_new(own, "kind", json_string(tokenizer->kind->name));
    LsStatus status = ls_json_file_write(folder, "lockstep_tokenizer.json", own);
    if (status == LS_OK)
        status = ls_json_file_write(folder, "tokenizer.json", other);
    if (status == LS_OK)
        status = ls_bytelevel_write_config(folder, ls_bytelevel_config_json("PreTrainedTokenizerFast", NULL));
    json_decref(own);
    json_decref(other);
    return status;
}
