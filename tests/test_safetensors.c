#include "damage.h"
#include "io/fault.h"
#include "store/safetensors.h"

#include <math.h>

/* Writes a file with this header text and so many bytes after it. */
static const char *make_file(const char *name, const char *header, int64_t data)
{
    const char *path = harness_path(name);
    int64_t length = (int64_t)strlen(header);
    char *bytes = ls_alloc((size_t)(8 + length + data));
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)((length >> (8 * i)) & 255);
    memcpy(bytes + 8, header, (size_t)length);
    damage_write(path, bytes, 8 + length + data);
    ls_free(bytes);
    return path;
}

static LsStatus try_open(const char *path)
{
    LsSafetensors *tensors = NULL;
    LsStatus status = ls_safetensors_open(path, LS_CHECKPOINT, &tensors);
    CU_ASSERT((status == LS_OK) == (tensors != NULL));
    ls_safetensors_close(tensors);
    return status;
}

static float *read_floats(const LsSafetensors *tensors, const char *name, int64_t count)
{
    const LsSafeTensor *t = ls_safetensors_find(tensors, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT_EQUAL_FATAL(t->count, count);
    float *values = ls_alloc_array(count, sizeof(float));
    ASSERT_OK(ls_safetensors_read(tensors, t, values));
    return values;
}

/* ---- Tests ------------------------------------------------------------------------------------------------------ */

static void test_types(void)
{
    LsSafetensors *tensors = NULL;
    ASSERT_OK(ls_safetensors_open(TESTS_FOLDER "/fixtures/halves.safetensors", LS_DATA, &tensors));
    static const char *const names[][2] = {
        {"double", "exact.double"}, {"single", "exact.single"}, {"half", "exact.half"}, {"brain", "exact.brain"}};
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        float *got = read_floats(tensors, names[i][0], 24), *want = read_floats(tensors, names[i][1], 24);
        CU_ASSERT_EQUAL(memcmp(got, want, 24 * sizeof(float)), 0); /* bits: -0 and infinities too */
        ls_free(got);
        ls_free(want);
    }
    const LsSafeTensor *half = ls_safetensors_find(tensors, "half");
    CU_ASSERT(half->rank == 2 && half->dim[0] == 2 && half->dim[1] == 12 && strcmp(half->dtype, "F16") == 0);
    float *scalar = read_floats(tensors, "scalar", 1);
    CU_ASSERT_EQUAL(scalar[0], 2.5f);
    ls_free(scalar);
    float mask[3];
    ASSERT_FAILS(ls_safetensors_read(tensors, ls_safetensors_find(tensors, "mask"), mask), LS_DATA,
                 "mask has elements of type BOOL");
    CU_ASSERT_PTR_NULL(ls_safetensors_find(tensors, "absent"));
    ls_safetensors_close(tensors);
}

/* Every half that is a number, against arithmetic: sign (1 + mantissa / 1024) 2^(exponent - 15). */
static void test_every_half(void)
{
    enum { COUNT = 65536 };
    const char *header = "{\"x\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]}}";
    const char *path = make_file("every.safetensors", header, 2 * COUNT);
    Bytes bytes = damage_read(path);
    for (int i = 0; i < COUNT; i++) {
        bytes.at[bytes.count - 2 * COUNT + 2 * i] = (char)(i & 255);
        bytes.at[bytes.count - 2 * COUNT + 2 * i + 1] = (char)(i >> 8);
    }
    damage_write(path, bytes.at, bytes.count);
    ls_free(bytes.at);
    LsSafetensors *tensors = NULL;
    ASSERT_OK(ls_safetensors_open(path, LS_DATA, &tensors));
    float *x = read_floats(tensors, "x", COUNT);
    int wrong = 0;
    for (int i = 0; i < COUNT; i++) {
        int exponent = i >> 10 & 31, mantissa = i & 1023;
        double want = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1 + mantissa / 1024.0, exponent - 15);
        want = i & 0x8000 ? -want : want;
        int before = wrong;
        if (exponent == 31)
            wrong += mantissa ? !isnan(x[i]) : x[i] != (i & 0x8000 ? -HUGE_VALF : HUGE_VALF);
        else
            wrong += (double)x[i] != want || !signbit(x[i]) != !signbit(want);
        if (wrong > before && wrong < 5)
            fprintf(stderr, "half %04x: %g where %g is right\n", (unsigned)i, (double)x[i], want);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    ls_free(x);
    ls_safetensors_close(tensors);
}

#define ENTRY(name, dtype, shape, offsets)                                                                             \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_bad_headers(void)
{
    static const struct {
        const char *header;
        int64_t data;
        const char *message;
    } cases[] = {
        {"{" ENTRY("a", "F32", "[2,3]", "[0,24]") "}", 23,
         "tensor a: its elements are said to lie at 0 to 24, the file has 23 bytes"},
        {"{" ENTRY("a", "F32", "[2,3]", "[0,24]") "}", 25, "1 bytes at its end belong to no tensor"},
        {"{" ENTRY("a", "F32", "[2,3]", "[-8,16]") "}", 24, "tensor a"},
        {"{" ENTRY("a", "F32", "[2,3]", "[24,0]") "}", 24, "tensor a"},
        {"{" ENTRY("a", "F32", "[2,3]", "[0,9223372036854775807]") "}", 24, "tensor a"},
        {"{" ENTRY("a", "F32", "[2,3]", "[0,99999999999999999999]") "}", 24, "not JSON"},
        {"{" ENTRY("a", "F32", "[2,3]", "[0]") "}", 24, "tensor a: data_offsets"},
        {"{" ENTRY("a", "F32", "[2,3]", "[0.0,24.0]") "}", 24, "tensor a: data_offsets"},
        {"{" ENTRY("a", "F32", "[2,2]", "[0,24]") "}", 24, "tensor a: shape (2, 2) of F32 takes 16 bytes, not 24"},
        {"{" ENTRY("a", "F16", "[2,3]", "[0,24]") "}", 24, "tensor a: shape (2, 3) of F16 takes 12 bytes, not 24"},
        {"{" ENTRY("a", "F32", "[-2,-3]", "[0,24]") "}", 24, "tensor a: its shape"},
        {"{" ENTRY("a", "F32", "[4294967296,4294967296,4]", "[0,24]") "}", 24, "tensor a: its shape"},
        {"{" ENTRY("a", "F32", "[2305843009213693952]", "[0,24]") "}", 24, "tensor a: its shape"},
        {"{" ENTRY("a", "F32", "[1,1,1,1,1,1,1,1,6]", "[0,24]") "}", 24, "tensor a: its shape"},
        {"{" ENTRY("a", "F32", "6", "[0,24]") "}", 24, "tensor a: its shape"},
        {"{" ENTRY("a", "F31", "[2,3]", "[0,24]") "}", 24, "tensor a: unknown type of elements 'F31'"},
        {"{\"a\":{}}", 24, "tensor a: unknown type"},
        {"{\"a\":7}", 24, "tensor a: unknown type"},
        {"{" ENTRY("a", "F32", "[3]", "[0,12]") "," ENTRY("b", "F32", "[3]", "[8,20]") "}", 20,
         "tensor b overlaps with a"},
        {"{" ENTRY("b", "F32", "[3]", "[4,16]") "," ENTRY("a", "F32", "[5]", "[0,20]") "}", 20,
         "tensor b overlaps with a"},
        {"{" ENTRY("a", "F32", "[3]", "[0,12]") "," ENTRY("b", "F32", "[3]", "[16,28]") "}", 28,
         "tensor b: 4 bytes before it"},
        {"{" ENTRY("a", "F32", "[3]", "[0,12]") "," ENTRY("a", "F32", "[3]", "[12,24]") "}", 24, "duplicate"},
        {"[1,2]", 0, "not an object"},
        {"{\"a\":", 0, "not JSON"},
        {"{\"\xff\":1}", 0, "not JSON"},
    };
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        const char *path = make_file("bad.safetensors", cases[i].header, cases[i].data);
        ASSERT_FAILS(try_open(path), LS_CHECKPOINT, cases[i].message);
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "bad.safetensors"));
    }
    ASSERT_OK(try_open(make_file(
        "good.safetensors",
        "{\"__metadata__\":{\"a\":\"b\"}," ENTRY("e", "F32", "[0]", "[0,0]") "," ENTRY("a", "F32", "[3]", "[0,12]") "}",
        12)));
}

static void test_bad_lengths(void)
{
    const char *path = harness_path("length.safetensors");
    static const struct {
        const char *bytes;
        int64_t count;
    } cases[] = {{"", 0},
                 {"\x02\0\0\0\0\0\0", 7},
                 {"\x02\0\0\0\0\0\0\0{", 9},
                 {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10},
                 {"\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10},
                 {"\x03\0\0\0\0\0\0\0{}", 10},
                 {"\0\0\0\0\0\0\0\0{}", 10}};
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        damage_write(path, cases[i].bytes, cases[i].count);
        ASSERT_FAILS(try_open(path), LS_CHECKPOINT, "not a safetensors file");
    }
    ASSERT_FAILS(try_open(harness_path("absent.safetensors")), LS_CHECKPOINT, "absent.safetensors");
    ASSERT_FAILS(try_open(harness_folder()), LS_CHECKPOINT, harness_folder());
}

/* Any cut and any damage of a real file is either refused or leaves a file that reads without harm. */
static void test_damaged_files(void)
{
    const char *path = harness_path("cut.safetensors");
    Bytes bytes = damage_read(TESTS_FOLDER "/fixtures/halves.safetensors");
    for (int64_t keep = 0; keep < bytes.count; keep += 7) {
        damage_write(path, bytes.at, keep);
        CU_ASSERT_EQUAL(try_open(path), LS_CHECKPOINT);
    }
    uint64_t seed = damage_seed();
    for (int i = 0; i < 400; i++) {
        int64_t bit = damage_draw(seed, (uint64_t)i, 8 * 700); /* in the header: the format has no checksums */
        bytes.at[bit / 8] ^= (char)(1 << (bit % 8));
        damage_write(path, bytes.at, bytes.count);
        bytes.at[bit / 8] ^= (char)(1 << (bit % 8));
        LsSafetensors *tensors = NULL;
        if (ls_safetensors_open(path, LS_DATA, &tensors) == LS_OK)
            for (int t = 0; t < tensors->count; t++) {
                float *values = ls_alloc_array(tensors->list[t].count, sizeof(float));
                CU_ASSERT(ls_safetensors_read(tensors, &tensors->list[t], values) == LS_OK ||
                          strstr(ls_message(), "elements of type"));
                ls_free(values);
            }
        ls_safetensors_close(tensors);
    }
    ls_free(bytes.at);
}

static const float *give(void *self, int i)
{
    if (!self)
        ls_fail(LS_DATA, "nothing to give");
    return self ? ((const float *const *)self)[i] : NULL;
}

static void test_writing(void)
{
    const char *path = harness_path("out.safetensors");
    float matrix[6] = {1, -2, 3.5f, -0.0f, HUGE_VALF, 6}, one[1] = {7};
    const float *data[] = {matrix, one, matrix};
    LsSafeOut list[] = {{"m \"quoted\" \xc3\xa9", 2, {2, 3}}, {"s", 0, {0}}, {"empty", 2, {0, 3}}};
    ASSERT_OK(ls_safetensors_write(path, 3, list, give, data));
    LsSafetensors *tensors = NULL;
    ASSERT_OK(ls_safetensors_open(path, LS_DATA, &tensors));
    CU_ASSERT_EQUAL(tensors->count, 3);
    float *back = read_floats(tensors, list[0].name, 6);
    CU_ASSERT_EQUAL(memcmp(back, matrix, sizeof matrix), 0);
    ls_free(back);
    back = read_floats(tensors, "s", 1);
    CU_ASSERT_EQUAL(back[0], 7.0f);
    ls_free(back);
    ls_safetensors_close(tensors);

    ASSERT_FAILS(ls_safetensors_write(harness_path("none.safetensors"), 3, list, give, NULL), LS_DATA,
                 "nothing to give");
    CU_ASSERT_FALSE(ls_file_exists(harness_path("none.safetensors")));
    const char *folder = harness_path("faults");
    ASSERT_OK(ls_make_folders(folder));
    ls_fault_arm(LS_FAULT_FULL, 3);
    ASSERT_FAILS(ls_safetensors_write(harness_path("faults/out.safetensors"), 3, list, give, data), LS_RESOURCE,
                 "disk is full");
    ls_fault_arm(LS_FAULT_NONE, 0);
    CU_ASSERT_EQUAL(damage_count(folder, false), 0);
}

/* A failure of the system to read is reported as such, at whichever call. */
static void test_unreadable(void)
{
    LsSafetensors *tensors = NULL;
    for (int call = 1; call <= 2; call++) {
        ls_fault_arm(LS_FAULT_READ, call);
        ASSERT_FAILS(ls_safetensors_open(TESTS_FOLDER "/fixtures/halves.safetensors", LS_DATA, &tensors), LS_DATA,
                     "Input/output error");
        ls_fault_arm(LS_FAULT_NONE, 0);
    }
}

static void test_shards(void)
{
    make_file("part-1.safetensors", "{" ENTRY("a", "F32", "[3]", "[0,12]") "}", 12);
    make_file("part-2.safetensors", "{" ENTRY("b", "F32", "[2]", "[0,8]") "," ENTRY("c", "F32", "[1]", "[8,12]") "}",
              12);
    const char *index = harness_path("model.safetensors.index.json");
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"part-1.safetensors\",\"b\":\"part-1.safetensors\"}}",
         "tensor b is not in part-1.safetensors"},
        {"{\"weight_map\":{\"a\":\"part-1.safetensors\",\"x\":\"part-2.safetensors\"}}",
         "tensor x is not in part-2.safetensors"},
        {"{\"weight_map\":{\"a\":\"part-3.safetensors\"}}", "part-3.safetensors"},
        {"{\"weight_map\":{\"a\":\"../part-1.safetensors\"}}", "is not the name of a file beside it"},
        {"{\"weight_map\":{\"a\":7}}", "is not the name of a file beside it"},
        {"{}", "has no weight_map"},
        {"{\"weight_map\":", "not JSON"},
    };
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        damage_write(index, cases[i].text, (int64_t)strlen(cases[i].text));
        ASSERT_FAILS(try_open(index), LS_CHECKPOINT, cases[i].message);
    }
    const char *good = "{\"metadata\":{},\"weight_map\":{\"c\":\"part-2.safetensors\",\"a\":\"part-1.safetensors\","
                       "\"b\":\"part-2.safetensors\"}}";
    damage_write(index, good, (int64_t)strlen(good));
    LsSafetensors *tensors = NULL;
    ASSERT_OK(ls_safetensors_open(index, LS_DATA, &tensors));
    CU_ASSERT(tensors->count == 3 && tensors->file_count == 2);
    ls_free(read_floats(tensors, "a", 3));
    ls_free(read_floats(tensors, "c", 1));
    ls_safetensors_close(tensors);
    make_file("part-2.safetensors", "{" ENTRY("a", "F32", "[2]", "[0,8]") "," ENTRY("c", "F32", "[1]", "[8,12]") "}",
              12);
    ASSERT_FAILS(try_open(index), LS_CHECKPOINT, "tensor a is also in");
}

/* Each is found by its name, whatever the order of names; looked through one by one this would take minutes. */
static void test_many(void)
{
    enum { COUNT = 100000 };
    char *header = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&header, &bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    for (int i = 0; i < COUNT; i++)
        fprintf(out, "%c\"t.%d\": {\"dtype\": \"U8\", \"shape\": [1], \"data_offsets\": [%d, %d]}", i ? ',' : '{',
                (int)((int64_t)i * 7919 % COUNT), i, i + 1);
    fprintf(out, "}");
    fclose(out);
    LsSafetensors *tensors = NULL;
    ASSERT_OK(ls_safetensors_open(make_file("many.safetensors", header, COUNT), LS_DATA, &tensors));
    CU_ASSERT_EQUAL(tensors->count, COUNT);
    int found = 0;
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        snprintf(name, sizeof name, "t.%d", i);
        const LsSafeTensor *t = ls_safetensors_find(tensors, name);
        found += t && strcmp(t->name, name) == 0;
    }
    CU_ASSERT_EQUAL(found, COUNT);
    CU_ASSERT_PTR_NULL(ls_safetensors_find(tensors, "t.100000"));
    ls_safetensors_close(tensors);
    free(header);
}

int main(void)
{
    return harness_run("safetensors",
                       (HarnessTest[]){{"element types against the reference implementation", test_types},
                                       {"errors of reading", test_unreadable},
                                       {"every half", test_every_half},
                                       {"bad headers", test_bad_headers},
                                       {"bad lengths", test_bad_lengths},
                                       {"damaged files", test_damaged_files},
                                       {"writing", test_writing},
                                       {"a model in several files", test_shards},
                                       {"many tensors", test_many},
                                       {0}});
}
