/* Configuration: YAML and its mistakes, precedence, and printing that reads back to the same bits. */
#include "config/config.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_precedence(void)
{
    char *override[] = {"train.steps=700", "train.steps=1_500", "data.path='a b: c'", "output.path=\"x\\ty\"",
                        "data.validation_path="};
    LsConfig *config = ls_config_parse("text",
                                       "model: {kind: gpt, layers: 3}\n"
                                       "data:\n  path: here\n  validation_path: there\n"
                                       "train:\n  steps: 5e2\n  learning_rate: 1e-3 # comment\n  batch: 0x10\n"
                                       "output:\n",
                                       (int)LS_COUNT_OF(override), override);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    int64_t layers = 0, none = 0;
    CU_ASSERT(ls_config_model_int(config, "layers", &layers) && layers == 3);
    CU_ASSERT_FALSE(ls_config_model_int(config, "nothing", &none));
    CU_ASSERT(ls_config_set_model_int(config, "layers", 4) && ls_config_model_int(config, "layers", &layers) &&
              layers == 4);
    CU_ASSERT_FALSE(ls_config_set_model_int(config, "nothing", 1));
    CU_ASSERT(config->train.steps == 1500 && config->train.batch == 16 && config->train.learning_rate == 1e-3);
    CU_ASSERT(config->train.warmup == 100 && config->train.beta2 == 0.95 && config->output.keep == 3);
    CU_ASSERT_STRING_EQUAL(config->data.path, "a b: c");
    CU_ASSERT_STRING_EQUAL(config->output.path, "x\ty");
    CU_ASSERT_PTR_NULL(config->data.validation_path);
    CU_ASSERT_STRING_EQUAL(config->model->name, "gpt");
    ls_config_free(config);
}

static void test_round_trip(void)
{
    char *override[] = {
        "train.learning_rate=0.00033333333333333331",    "train.seed=9007199254740991", "model.dropout=0.1",
        "data.path=\"\\u00e4\\n#: 'x' \\\"y\\\" \\\\\"", "output.path=\"null\"",        "train.weight_decay=-0.0"};
    LsConfig *first = ls_config_parse("text", "model:\n  kind: gpt\n", (int)LS_COUNT_OF(override), override);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    char *yaml = ls_config_yaml(first);
    CU_ASSERT_PTR_NOT_NULL_FATAL(yaml);
    LsConfig *second = ls_config_parse("printed", yaml, 0, NULL);
    if (!second)
        fprintf(stderr, "%s\n%s", ls_message(), yaml);
    CU_ASSERT_PTR_NOT_NULL_FATAL(second);
    CU_ASSERT_STRING_EQUAL(second->data.path, "\xc3\xa4\n#: 'x' \"y\" \\");
    CU_ASSERT_STRING_EQUAL(second->output.path, "null");
    CU_ASSERT_PTR_NULL(second->data.validation_path);
    LsTrainSettings a = first->train, b = second->train;
    CU_ASSERT(memcmp(&a.learning_rate, &b.learning_rate, sizeof a.learning_rate) == 0);
    CU_ASSERT(memcmp(&a.weight_decay, &b.weight_decay, sizeof a.weight_decay) == 0);
    CU_ASSERT_EQUAL(b.seed, 9007199254740991);
    char *again = ls_config_yaml(second);
    CU_ASSERT_STRING_EQUAL(yaml, again);
    ls_free(yaml);
    ls_free(again);
    ls_config_free(first);
    ls_config_free(second);
}

/* The text behind the equals sign is the value; it is printed so that it reads back. */
static void test_values(void)
{
    static const struct {
        const char *written, *value;
    } cases[] = {
        {"out #2", "out #2"},
        {"#2", "#2"},
        {"a: b", "a: b"},
        {"it's", "it's"},
        {"\"half", "\"half"},
        {" outer blanks ", " outer blanks "},
        {"| x", "| x"},
        {"- x", "- x"},
        {"*x", "*x"},
        {"&x !y", "&x !y"},
        {"@x", "@x"},
        {"[x].h5", "[x].h5"},
        {"a\\b", "a\\b"},
        {"%x", "%x"},
        {"---", "---"},
        {"two\nlines\t", "two\nlines\t"},
        {"bell\a", "bell\a"},
        {"\xe2\x80\xa8 \xe2\x80\xa9 \xc2\x85 \xc2\x9f \xef\xbb\xbf \xef\xbf\xbf \xc3\xa4", NULL}, /* NULL: itself */
        {"true", "true"},
        {"1e3", "1e3"},
        {"\"null\"", "null"},
        {"'~'", "~"},
        {"\"a\\x41\"", "aA"},
        {"'it''s'", "it's"}};
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        const char *expected = cases[i].value ? cases[i].value : cases[i].written;
        char *override = ls_format("data.path=%s", cases[i].written);
        LsConfig *config = ls_config_parse("text", "model:\n  kind: gpt\n", 1, &override);
        if (!config)
            fprintf(stderr, "%s\n", ls_message());
        CU_ASSERT_PTR_NOT_NULL_FATAL(config);
        CU_ASSERT_STRING_EQUAL(config->data.path, expected);
        char *yaml = ls_config_yaml(config);
        LsConfig *again = yaml ? ls_config_parse("printed", yaml, 0, NULL) : NULL;
        if (!again)
            fprintf(stderr, "%s: %s\n", expected, ls_message());
        CU_ASSERT_PTR_NOT_NULL_FATAL(again);
        CU_ASSERT_STRING_EQUAL(again->data.path, expected);
        ls_config_free(config);
        ls_config_free(again);
        ls_free(yaml);
        ls_free(override);
    }
    static char *const none[] = {"data.path=", "data.path=~", "data.path=null"};
    for (size_t i = 0; i < LS_COUNT_OF(none); i++) {
        LsConfig *config = ls_config_parse("text", "model:\n  kind: gpt\ndata:\n  path: x\n", 1, &none[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(config);
        CU_ASSERT_PTR_NULL(config->data.path);
        ls_config_free(config);
    }
    static char *const bad[] = {"data.path=\xff", "data.path=\"a\\0b\""};
    CU_ASSERT_PTR_NULL(ls_config_parse("text", "model:\n  kind: gpt\n", 1, &bad[0]));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "must be UTF-8"));
    CU_ASSERT_PTR_NULL(ls_config_parse("text", "model:\n  kind: gpt\n", 1, &bad[1]));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "zero byte"));
}

/* Lists and maps: as they are written, as they are printed, and what belongs elsewhere. */
static void test_members(void)
{
    static const struct {
        const char *text, *freeze, *scale, *printed; /* JSON; YAML of train.freeze */
    } good[] = {{"  freeze: [a, 'b c', \"3\"]\n", "[\"a\",\"b c\",\"3\"]", NULL, "[a, \"b c\", 3]"},
                {"  freeze:\n    - ^layer\\.[0-3]\n    - x\n", "[\"^layer\\\\.[0-3]\",\"x\"]", NULL,
                 "[\"^layer\\\\.[0-3]\", x]"},
                {"  freeze: one\n", "[\"one\"]", NULL, "[one]"},
                {"  freeze: []\n", "[]", NULL, "[]"},
                {"  freeze:\n", NULL, NULL, "null"},
                {"  scale: {a: 0.1, 'b: c': 2}\n", NULL, "{\"a\":\"0.1\",\"b: c\":\"2\"}", "null"},
                {"  scale:\n    \"\\u00e4{\": 1e-3\n", NULL, "{\"\xc3\xa4{\":\"1e-3\"}", "null"}};
    for (size_t i = 0; i < LS_COUNT_OF(good); i++) {
        char *text = ls_format("model: {kind: gpt}\ntrain:\n%s", good[i].text);
        LsConfig *config = ls_config_parse("job.yaml", text, 0, NULL);
        if (!config)
            fprintf(stderr, "%s: %s\n", text, ls_message());
        CU_ASSERT_PTR_NOT_NULL_FATAL(config);
        for (int pass = 0; pass < 2; pass++) { /* as printed, too */
            const char *freeze = config->train.freeze, *scale = config->train.scale;
            CU_ASSERT(!freeze == !good[i].freeze && (!freeze || strcmp(freeze, good[i].freeze) == 0));
            CU_ASSERT(!scale == !good[i].scale && (!scale || strcmp(scale, good[i].scale) == 0));
            char *yaml = ls_config_yaml(config), *line = ls_format("\n  freeze: %s\n", good[i].printed);
            CU_ASSERT_PTR_NOT_NULL(strstr(yaml, line));
            ls_config_free(config);
            config = ls_config_parse("printed", yaml, 0, NULL);
            CU_ASSERT_PTR_NOT_NULL_FATAL(config);
            ls_free(yaml);
            ls_free(line);
        }
        ls_config_free(config);
        ls_free(text);
    }
    char *override[] = {"train.freeze=[x, '=[[]']", "train.scale={y: 3}", "train.no_decay=[norm]"};
    LsConfig *config =
        ls_config_parse("job.yaml", "model: {kind: gpt}\ntrain: {freeze: [a]}\n", LS_COUNT_OF(override), override);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_STRING_EQUAL(config->train.freeze, "[\"x\",\"=[[]\"]");
    CU_ASSERT_STRING_EQUAL(config->train.scale, "{\"y\":\"3\"}");
    CU_ASSERT_STRING_EQUAL(config->train.no_decay, "[\"norm\"]");
    ls_config_free(config);
    static const char *const bad[][2] = {
        {"  freeze: {a: 1}\n", "line 3: train.freeze: a section where a list ([one, two]) belongs"},
        {"  scale: [a]\n", "line 3: train.scale: a list where {name: value, ...} belongs"},
        {"  scale: 0.1\n", "line 3: train.scale: '0.1' where {name: value, ...} belongs"},
        {"  freeze: [[a]]\n", "line 3: train.freeze: a list inside it, where one value belongs"},
        {"  scale: {a: {b: 1}}\n", "line 3: train.scale: a section inside it"},
        {"  freeze: [a, ~]\n", "line 3: train.freeze: has nothing where a value belongs"},
        {"  scale: {a: 1, a: 2}\n", "line 3: train.scale: a stands twice"},
        {"  freeze: [\"a\\0b\"]\n", "line 3: train.freeze: has a zero byte"},
        {"  wire: [float]\n", "line 3: train.wire: a list where one value belongs"},
        {"  init: [run]\n", "line 3: train.init: a list where one value belongs; a text with such characters needs"}};
    for (size_t i = 0; i < LS_COUNT_OF(bad); i++) {
        char *text = ls_format("model: {kind: gpt}\ntrain:\n%s", bad[i][0]);
        CU_ASSERT_PTR_NULL(ls_config_parse("job.yaml", text, 0, NULL));
        if (!strstr(ls_message(), bad[i][1]))
            fprintf(stderr, "expected '%s': %s\n", bad[i][1], ls_message());
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), bad[i][1]));
        ls_free(text);
    }
}

/* Every mistake of one text, in one message. */
static void test_all_at_once(void)
{
    char *override[] = {"train.beta1=2",  "trian.steps=3",       "steps=5",
                        "train.clip=[1]", "train.clip=5 # five", "data.path=\"x\"y\""};
    CU_ASSERT_PTR_NULL(ls_config_parse("job.yaml",
                                       "model:\n"
                                       "  kind: gpt\n"
                                       "  layer: 3\n"          /* 3 */
                                       "  heads: many\n"       /* 4 */
                                       "  dropout: 1\n"        /* 5 */
                                       "train:\n"              /* 6 */
                                       "  steps: 1.5\n"        /* 7 */
                                       "  batch: [1, 2]\n"     /* 8 */
                                       "  batch: 3\n"          /* 9 */
                                       "  schedule: cosin\n"   /* 10 */
                                       "  layers: 3\n"         /* 11 */
                                       "  optimizer: {a: 1}\n" /* 12 */
                                       "  warmup:\n"           /* 13 */
                                       "outputs:\n"            /* 14 */
                                       "  path: x\n"
                                       "data: text\n", /* 16 */
                                       (int)LS_COUNT_OF(override), override));
    static const char *const expected[] = {"job.yaml: 18 mistakes:",
                                           "line 3: model.layer: unknown; did you mean 'layers'?",
                                           "line 4: model.heads: 'many' is not a whole number",
                                           "line 5: model.dropout: 1 is out of range: 0 to 0.99",
                                           "line 7: train.steps: '1.5' is not a whole number",
                                           "line 8: train.batch: a list where one value belongs",
                                           "line 9: batch stands twice, first in line 8",
                                           "line 10: train.schedule: 'cosin' is none of "
                                           "constant|linear|cosine|inverse_sqrt|wsd|step; did you mean 'cosine'?",
                                           "line 11: train.layers: unknown; it belongs to the section model",
                                           "line 12: train.optimizer: a section where one value belongs",
                                           "line 13: train.warmup: has no value",
                                           "line 14: section outputs: unknown; did you mean 'output'?",
                                           "line 16: data: a value where settings (name: value) belong",
                                           "command line: train.beta1: 2 is out of range: 0 to 0.99999999",
                                           "command line: section trian: unknown; did you mean 'train'?",
                                           "command line: 'steps=5' is not of the form section.name=value",
                                           "command line: train.clip: a list where one value belongs",
                                           "command line: train.clip: '5 # five' is not a number",
                                           "command line: did not find expected"};
    for (size_t i = 0; i < LS_COUNT_OF(expected); i++) {
        if (!strstr(ls_message(), expected[i]))
            fprintf(stderr, "missing: %s\n", expected[i]);
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), expected[i]));
    }
    const char *place = ls_message(); /* in order of lines */
    for (size_t i = 0; i < 14 && place; i++)
        place = strstr(place, expected[i]);
    CU_ASSERT_PTR_NOT_NULL(place);
}

static void test_bad_texts(void)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "is empty"},
        {"# nothing\n", "is empty"},
        {"model:\n  kind: gtp\n", "line 2: model.kind: there is no model 'gtp'; did you mean 'gpt'?"},
        {"train:\n  steps: 3\n", "model.kind: not set"},
        {"model:\n  kind:\n", "line 2: model.kind: not set"},
        {"model: [1]\n", "line 1: model: a list where settings (name: value) belong"},
        {"hello\n", "line 1: a plain text where sections"},
        {"- a\n- b\n", "line 1: a list where sections"},
        {"model:\n  kind: gpt\n train:\n", "line 3: "},
        {"model:\n\tkind: gpt\n", "line 2: "},
        {"model:\n  kind: 'gpt\n", "line "},
        {"model: {kind: gpt\n", "line "},
        {"model: &a\n  kind: gpt\ndata: *a\n", "line 1: anchors"},
        {"model:\n  kind: *gpt\n", "line 2: anchors"},
        {"model:\n  kind: !str gpt\n", "line 2: tags"},
        {"model:\n  kind: gpt\n---\ndata:\n", "line 3: a second document"},
        {"model:\n  kind: gpt\nmodel:\n  kind: gpt\n", "line 3: model stands twice, first in line 1"},
        {"? [a, b]\n: c\n", "a name belongs before the colon"},
        {"model:\n  kind: gpt\n  \"a\\0b\": 1\n", "line 3: a name belongs"},
        {"model:\n  kind: gpt\ndata:\n  path: \"a\\0b\"\n", "line 4: data.path: has a zero byte"},
        {"[[[[[[[[[[[[", "nested too deeply"},
        {"model:\n  kind: rwkv\n", "there is no model 'rwkv'; did you mean 'rwkv4', 'rwkv5', 'rwkv6' or 'rwkv7'?"},
        {"model:\n  kind: gpt\n  width: 7\n  heads: 2\n",
         "model.width 7 is not a multiple of model.heads 2: model.width 6 or 8 would fit, or model.heads 1 or 7"},
        {"model:\n  kind: bert\n  width: 100\n  heads: 8\n", "model.width 96 or 104 would fit, or model.heads 5 or 10"},
        {"model:\n  kind: gpt\n  width: 8\n  heads: 16\n", "model.width 16 would fit, or model.heads 8"},
        {"model:\n  kind: gpt\n  width: 12\n  heads: 6\n  kv_heads: 4\n",
         "model.heads 4 or 8 would fit, or model.kv_heads 3 or 6"},
        {"model:\n  kind: gpt\ntrain:\n  learning_rate: 1e-5\n  min_learning_rate: 1e-4\n",
         "train.min_learning_rate 0.0001 is above"},
        {"model:\n  kind: gpt\ndata:\n  path: \xff\xfe\n", "the text must be UTF-8"},
        {"\x89HDF\r\n\x1a\n", "this is not a text file"},
        {"model:\n  kind: \x01gpt\n", "line 2: byte 0x01: this is not a text file"},
    };
    for (size_t i = 0; i < LS_COUNT_OF(bad); i++) {
        LsConfig *config = ls_config_parse("job.yaml", bad[i].text, 0, NULL);
        if (config || !strstr(ls_message(), bad[i].message) || strncmp(ls_message(), "job.yaml: ", 10) != 0)
            fprintf(stderr, "case %zu, expected '%s': %s\n", i, bad[i].message, config ? "accepted" : ls_message());
        CU_ASSERT_PTR_NULL(config);
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), bad[i].message));
        CU_ASSERT(strncmp(ls_message(), "job.yaml: ", 10) == 0);
        ls_config_free(config);
    }
}

static void write_file(const char *path, const char *text, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(text, 1, bytes, file), bytes);
    CU_ASSERT_EQUAL(fclose(file), 0);
}

static void test_files(void)
{
    const char *path = harness_path("job.yaml");
    CU_ASSERT_PTR_NULL(ls_config_load(path, 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "No such file"));
    CU_ASSERT_PTR_NULL(ls_config_load(harness_folder(), 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "this is a folder"));
    size_t huge = (1 << 20) + 1;
    char *text = ls_alloc(huge);
    memset(text, '#', huge);
    write_file(path, text, huge);
    ls_free(text);
    CU_ASSERT_PTR_NULL(ls_config_load(path, 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "larger than 1 MiB"));
    write_file(path, "model:\n  kind: gpt\0\n", 20);
    CU_ASSERT_PTR_NULL(ls_config_load(path, 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "line 2: byte 0x00"));
    write_file(path, "model:\n  kind: gpt\n", 19);
    LsConfig *config = ls_config_load(path, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL(config);
    ls_config_free(config);
}

/* More mistakes than a message should hold. */
static void test_many_mistakes(void)
{
    static char text[32768];
    int used = sprintf(text, "model:\n  kind: gpt\n");
    for (int i = 0; i < 500; i++)
        used += sprintf(text + used, "  wrong_%d: 1\n", i);
    CU_ASSERT_PTR_NULL(ls_config_parse("job.yaml", text, 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "500 mistakes"));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "and 450 more"));
}

/* The defaults of every table and every model are inside their own ranges, and every setting has a help text. */
static void test_tables(void)
{
    const LsSetting *tables[] = {ls_data_settings, ls_train_settings, ls_output_settings};
    for (size_t i = 0; i < LS_COUNT_OF(tables); i++)
        for (const LsSetting *setting = tables[i]; setting->name; setting++)
            CU_ASSERT(setting->help && strlen(setting->help) > 8);
    for (const LsModel *const *model = ls_models(); *model; model++) {
        char *override[1] = {ls_format("model.kind=%s", (*model)->name)};
        LsConfig *config = ls_config_parse("text", "model:\n", 1, override);
        if (!config)
            fprintf(stderr, "%s\n", ls_message());
        CU_ASSERT_PTR_NOT_NULL(config);
        for (const LsSetting *setting = (*model)->settings; setting->name; setting++)
            CU_ASSERT(setting->help && strlen(setting->help) > 4);
        ls_config_free(config);
        ls_free(override[0]);
    }
}

/* Any bytes: an answer or a message, never a crash (run under the sanitizers too). */
static void test_random_bytes(void)
{
    static const char *const pieces[] = {"model:", "\n",       "  ",   "kind: gpt", "train:", "steps: ", "1e",  "_",
                                         "[",      "{",        "}",    "]",         ",",      "\"",      "'",   "&a",
                                         "*a",     "!t",       "---",  "? ",        ": ",     "- ",      "|\n", "#",
                                         "\t",     "\xc3\xa4", "\xff", "\\",        "%",      "<<: "};
    int answers = 0;
    for (uint64_t i = 0; i < 3000; i++) {
        char text[512] = "";
        for (uint64_t j = 0; j < 24; j++)
            strcat(text, pieces[(size_t)(ls_uniform_at(ls_key(3, "pieces"), i, j) * (float)LS_COUNT_OF(pieces))]);
        ls_clear_message();
        LsConfig *config = ls_config_parse("random", text, 0, NULL);
        answers += config != NULL || ls_message()[0];
        ls_config_free(config);
    }
    CU_ASSERT_EQUAL(answers, 3000);
}

int main(void)
{
    return harness_run("config", (HarnessTest[]){

                                     {"precedence", test_precedence},
                                     {"printed and read back", test_round_trip},
                                     {"values of the command line", test_values},
                                     {"lists and maps", test_members},
                                     {"all mistakes at once", test_all_at_once},
                                     {"bad texts", test_bad_texts},
                                     {"files", test_files},
                                     {"many mistakes", test_many_mistakes},
                                     {"tables", test_tables},
                                     {"random bytes", test_random_bytes},
                                     {0}});
}
