/* Properties of every kind of data set that is prepared: the same files give the same bytes, a full disk leaves
 * what was there, and a data set whose arrays do not fit each other is refused. The test walks the list of kinds. */
#include "sample_files.h"

#include "io/fault.h"

/* Three samples of 16 bits, 8,000 a second, follow. */
#define WAV_HEAD                                                                                                       \
    "RIFF\52\0\0\0WAVEfmt \20\0\0\0\1\0\1\0\100\37\0\0\200\76\0\0\2\0\20\0"                                            \
    "data\6\0\0\0"

/* A small data set of a kind: its files and options. */
typedef struct Example {
    const char *kind, *options, *name[2], *text[2];
    int64_t bytes[2]; /* 0: as long as the text is */
} Example;

static const Example examples[] = {
    {"text", "", {"k.txt"}, {"some text, enough for a window or two"}, {0}},
    {"images",
     "validation=1",
     {"k-images-ubyte", "k-labels-ubyte"},
     {"\0\0\10\3\0\0\0\4\0\0\0\2\0\0\0\3abcdefghijklmnopqrstuvwx", "\0\0\10\1\0\0\0\4\0\1\2\0"},
     {40, 12}},
    {"lines", "validation=1", {"k.tsv"}, {"a\tone two\nb\tthree\na\tfour\n"}, {0}},
    {"columns", "validation=1", {"k.conll"}, {"Ada\tX\nwrote\tO\n\nso\tO\n\nBonn\tX\n"}, {0}},
    {"chat",
     "validation=1;tokenizer=characters",
     {"k.jsonl"},
     {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b c\"}]}\n"
      "{\"messages\": [{\"role\": \"assistant\", \"content\": \"d\"}]}\n"
      "{\"messages\": [{\"role\": \"assistant\", \"content\": \"e f g\"}]}\n"},
     {0}},
    {"pairs", "validation=1", {"k.pairs"}, {"a b\tc\nd\te f\ng\th\n"}, {0}},
    {"series", "window=2;validation=0.2;test=0.2", {"k.csv"}, {"1,9\n2,8\n3,7\n4,7\n5,5\n6,5\n7,4\n8,3\n"}, {0}},
    {"wav", "validation=1;label=^(.)_", {"a_0.wav", "a_1.wav"}, {WAV_HEAD "aAbBcC", WAV_HEAD "dDeEfF"}, {50, 50}}};

static const Example *example_of(const char *kind)
{
    for (size_t i = 0; i < LS_COUNT_OF(examples); i++)
        if (strcmp(examples[i].kind, kind) == 0)
            return &examples[i];
    fprintf(stderr, "kind %s has no example in test_kinds.c\n", kind);
    CU_FAIL("a kind of data set without an example");
    return NULL;
}

static LsStatus prepare_example(const Example *example, const char *output)
{
    char *source[3] = {NULL};
    for (int i = 0; i < 2 && example->name[i]; i++)
        source[i] = write_bytes(example->name[i], example->text[i],
                                example->bytes[i] ? example->bytes[i] : (int64_t)strlen(example->text[i]));
    return prepare_kind(example->kind, example->options, source, output);
}

static LsStatus open_example(const Example *example, const char *path, const char *split, LsSource **source)
{
    return open_kind(example->kind, path, split, strcmp(example->kind, "text") == 0 ? 2 : 0, 1, NULL, source);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static void test_same_bytes(void)
{
    for (const LsDataKind *const *kind = ls_data_kinds(); *kind; kind++) {
        const Example *example = (*kind)->prepare ? example_of((*kind)->name) : NULL;
        char *content[2] = {NULL}, *path = path_of("same.h5");
        int64_t bytes[2] = {0};
        for (int i = 0; i < 2 && example; i++) {
            ASSERT_OK(prepare_example(example, path));
            ASSERT_OK(ls_file_read(path, LS_DATA, &content[i], &bytes[i]));
            json_decref(described(path));
            LsSource *source = NULL;
            ASSERT_OK(open_example(example, path, "train", &source));
            CU_ASSERT_PTR_NOT_NULL_FATAL(source);
            Inputs inputs = inputs_new(source, 3, source->sequence);
            fill_inputs(source, &inputs, 5, 2);
            inputs_free(&inputs);
            ls_source_free(source);
        }
        CU_ASSERT(bytes[0] == bytes[1] && (!example || memcmp(content[0], content[1], (size_t)bytes[0]) == 0));
        ls_free(content[0]);
        ls_free(content[1]);
    }
}

/* Each write fails in turn as on a full disk: the data set is the old one, or the new one. */
static void test_full_disk(void)
{
    for (const LsDataKind *const *kind = ls_data_kinds(); *kind; kind++) {
        const Example *example = (*kind)->prepare ? example_of((*kind)->name) : NULL;
        if (!example)
            continue;
        char *output = path_of("full.h5"), *source[3] = {NULL};
        for (int i = 0; i < 2 && example->name[i]; i++)
            source[i] = path_of(example->name[i]);
        ASSERT_OK(prepare_example(example, output)); /* writes the raw files too */
        ls_fault_arm(LS_FAULT_NONE, 0);
        ASSERT_OK(prepare_kind(example->kind, example->options, source, output));
        int64_t calls = ls_fault_calls();
        int failures = 0;
        CU_ASSERT(calls > 5);
        for (int64_t call = 1; call <= calls; call++) {
            remove(output);
            ls_fault_arm(LS_FAULT_FULL, call);
            LsStatus status = prepare_kind(example->kind, example->options, source, output);
            ls_fault_arm(LS_FAULT_NONE, 0);
            CU_ASSERT(status == LS_OK || status == LS_RESOURCE);
            failures += status == LS_RESOURCE;
            if (ls_file_exists(output))
                json_decref(described(output)); /* whole */
            else
                CU_ASSERT_NOT_EQUAL(status, LS_OK);
        }
        CU_ASSERT(failures >= 4);
        remove(output);
        assert_nothing_left("full.h5");
    }
}

/* ---- Content that does not fit ----------------------------------------------------------------------------------- */

typedef enum Change { LEFT_OUT, SHORTER, LARGER_NUMBERS, CHANGES } Change;

typedef struct Copy {
    LsSealed *from, *to;
    int array, changed; /* number of the array that is visited, and of that which is changed */
    Change change;
    char name[64]; /* of that */
} Copy;

static size_t element_bytes(LsFileType type)
{
    return type == LS_FILE_UINT8                             ? 1
           : type == LS_FILE_UINT16                          ? 2
           : type == LS_FILE_INT64 || type == LS_FILE_UINT64 ? 8
                                                             : 4;
}

static LsStatus copy_array(void *self, const char *name)
{
    Copy *copy = self;
    bool exists;
    LsFileType type;
    int rank;
    int64_t dim[LS_SEALED_RANK], count = 1;
    LS_TRY(ls_sealed_shape(copy->from, name, &exists, &type, &rank, dim));
    for (int i = 0; i < rank; i++)
        count *= dim[i];
    unsigned char *data = ls_alloc_array(count + 1, 8);
    LsStatus status = ls_sealed_read(copy->from, name, type, count, data);
    bool changed = copy->array++ == copy->changed;
    if (changed) {
        snprintf(copy->name, sizeof copy->name, "%s", name);
        if (copy->change == SHORTER)
            dim[0]--;
        if (copy->change == LARGER_NUMBERS)
            memset(data, 0x7F, (size_t)count * element_bytes(type));
    }
    if (status == LS_OK && !(changed && copy->change == LEFT_OUT))
        status = ls_sealed_write(copy->to, name, type, rank, dim, data, 0);
    ls_free(data);
    return status;
}

/* Writes `to` with one array of `from` changed; false where it has none of that number. */
static bool change_array(const char *kind, const char *from, const char *to, int which, Change change, char name[64])
{
    Copy copy = {.changed = which, .change = change};
    char *tokenizer = NULL;
    copy.from = ls_sealed_open(from, kind, LS_DATA, NULL);
    copy.to = ls_sealed_create(to, kind, ls_sealed_version(copy.from), LS_DATA);
    CU_ASSERT_FATAL(copy.from && copy.to);
    ASSERT_OK(ls_sealed_each(copy.from, "", copy_array, &copy));
    if (strcmp(kind, "text") == 0) { /* the one kind with attributes */
        static const char *const numbers[] = {"vocabulary", "train_bytes", "validation_bytes"};
        for (int i = 0; i < 3; i++) {
            int64_t value = 0;
            ASSERT_OK(ls_sealed_get_int(copy.from, numbers[i], &value));
            ASSERT_OK(ls_sealed_set_int(copy.to, numbers[i], value));
        }
        ASSERT_OK(ls_sealed_get_text(copy.from, "tokenizer", &tokenizer));
        ASSERT_OK(ls_sealed_set_text(copy.to, "tokenizer", tokenizer));
        ASSERT_OK(ls_sealed_set_text(copy.to, "sources", "none"));
        ls_free(tokenizer);
    }
    ls_sealed_close(copy.from);
    ASSERT_OK(ls_sealed_commit(copy.to));
    snprintf(name, 64, "%s", copy.name);
    return copy.array > which;
}

/* Whether the training part must be refused with this array changed so. */
static bool must_refuse(const char *name, Change change)
{
    bool number = strstr(name, "pixels") || strcmp(name, "values") == 0 || strcmp(name, "train/sounds") == 0; /* any */
    bool text = strcmp(name, "train/tokens") == 0; /* a stream of any length, of bytes */
    if (strncmp(name, "validation/", 11) == 0 || strncmp(name, "test/", 5) == 0 || strcmp(name, "preparation") == 0)
        return false;
    return !(change == LARGER_NUMBERS && (number || text)) && !(change == SHORTER && text) &&
           !(change == LEFT_OUT &&
             (text || strcmp(name, "train/ids") == 0 || strcmp(name, "train/pixels") == 0 ||
              strcmp(name, "train/source") == 0 || strcmp(name, "train/sounds") == 0)); /* no training part: NULL */
}

static void test_odd_content(void)
{
    for (const LsDataKind *const *kind = ls_data_kinds(); *kind; kind++) {
        const Example *example = (*kind)->prepare ? example_of((*kind)->name) : NULL;
        char *whole = path_of("whole.h5"), *odd = path_of("odd.h5"), name[64];
        if (!example)
            continue;
        ASSERT_OK(prepare_example(example, whole));
        for (int change = 0; change < CHANGES; change++)
            for (int which = 0; change_array(example->kind, whole, odd, which, (Change)change, name); which++) {
                LsSource *source = NULL;
                json_t *object = NULL;
                LsStatus status = open_example(example, odd, "train", &source);
                bool refused = must_refuse(name, (Change)change);
                if (refused ? status != LS_DATA : status != LS_OK && status != LS_DATA)
                    fprintf(stderr, "%s: %s changed in way %d: status %d, %s\n", example->kind, name, change, status,
                            ls_message());
                CU_ASSERT(refused ? status == LS_DATA : status == LS_OK || status == LS_DATA);
                CU_ASSERT(status != LS_DATA || strstr(ls_message(), "odd.h5"));
                ls_source_free(source);
                status = ls_data_inspect(odd, &object); /* says something, or refuses */
                CU_ASSERT(status == LS_OK || status == LS_DATA);
                json_decref(object);
            }
    }
}

int main(void)
{
    return harness_run("kinds", (HarnessTest[]){{"the same bytes", test_same_bytes},
                                                {"a full disk", test_full_disk},
                                                {"content that does not fit", test_odd_content},
                                                {0}});
}
