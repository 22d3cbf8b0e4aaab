/* Declared settings: numbers and bytes as texts, nearest names, and single settings set and printed. */
#include "config/config.h"
#include "config/nearest.h"
#include "config/number.h"
#include "harness.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Thing {
    int64_t layers;
    double rate;
    bool tied;
    char *path, *norm;
} Thing;

static const LsSetting thing_settings[] = {LS_SETTING_INT(Thing, layers, "12", 1, 1000, "blocks"),
                                           LS_SETTING_FLOAT(Thing, rate, "1e-3", 0, 1, "rate"),
                                           LS_SETTING_BOOL(Thing, tied, "true", "tied"),
                                           LS_SETTING_STRING(Thing, path, NULL, "path"),
                                           LS_SETTING_CHOICE(Thing, norm, "layer", "layer|rms", "norm"),
                                           {0}};

static void test_numbers(void)
{
    static const struct {
        const char *text;
        bool fine;
        int64_t value;
    } whole[] = {{"500", true, 500},
                 {"-3", true, -3},
                 {"+7", true, 7},
                 {"1_000", true, 1000},
                 {"1_000_000", true, 1000000},
                 {"5e3", true, 5000},
                 {"2.0", true, 2},
                 {"0x20", true, 32},
                 {"9223372036854775807", true, INT64_MAX},
                 {"9223372036854775808", false, 0},
                 {"1e30", false, 0},
                 {"1.5", false, 0},
                 {"_1", false, 0},
                 {"1_", false, 0},
                 {"1__0", false, 0},
                 {"", false, 0},
                 {" 1", false, 0},
                 {"1 ", false, 0},
                 {"ten", false, 0},
                 {"1e", false, 0},
                 {"0x", false, 0},
                 {"12x", false, 0},
                 {"--1", false, 0}};
    for (size_t i = 0; i < LS_COUNT_OF(whole); i++) {
        int64_t value = 0;
        bool fine = ls_number_int(whole[i].text, &value);
        if (fine != whole[i].fine || (fine && value != whole[i].value))
            fprintf(stderr, "'%s': %d %lld\n", whole[i].text, fine, (long long)value);
        CU_ASSERT(fine == whole[i].fine && (!fine || value == whole[i].value));
    }
    double value = 0;
    CU_ASSERT(ls_number_float("1e-3", &value) && value == 1e-3);
    CU_ASSERT(ls_number_float("1_000.5", &value) && value == 1000.5);
    CU_ASSERT(ls_number_float(".5", &value) && value == 0.5);
    static const char *const bad[] = {"nan", "inf", "-inf", ".inf", "1e999", "0x1p3", "1,5", "", "-", "e3", "1e-3x"};
    for (size_t i = 0; i < LS_COUNT_OF(bad); i++)
        CU_ASSERT_FALSE(ls_number_float(bad[i], &value));
}

static void test_number_round_trip(void)
{
    uint64_t key = ls_key(7, "numbers");
    char text[32];
    int checked = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        uint32_t word[4];
        double value, back;
        ls_philox(key, 0, i, word);
        memcpy(&value, word, sizeof value);
        if (!isfinite(value))
            continue;
        ls_number_text(value, text);
        checked += ls_number_float(text, &back) && memcmp(&back, &value, sizeof back) == 0;
        if (checked == 0)
            break;
    }
    CU_ASSERT(checked > 19000);
    static const double edges[] = {0, -0.0, DBL_MIN, DBL_MAX, 4.9406564584124654e-324, 0.1, 1.0 / 3, 3e-4};
    for (size_t i = 0; i < LS_COUNT_OF(edges); i++) {
        double back = 1;
        ls_number_text(edges[i], text);
        CU_ASSERT(ls_number_float(text, &back) && memcmp(&back, &edges[i], sizeof back) == 0);
    }
    ls_number_text(0.1, text);
    CU_ASSERT_STRING_EQUAL(text, "0.1");
    ls_number_text(3e-4, text);
    CU_ASSERT_STRING_EQUAL(text, "0.0003");
}

static void test_bytes(void)
{
    static const struct {
        const char *text;
        int64_t value;
        const char *back;
    } good[] = {{"4GiB", (int64_t)4 << 30, "4GiB"},
                {"4G", (int64_t)4 << 30, "4GiB"},
                {"1.5GiB", (int64_t)3 << 29, "1536MiB"},
                {"300MB", 300000000, "300000000"},
                {"1000", 1000, "1000"},
                {"64 B", 64, "64"},
                {"2 kib", 2048, "2KiB"},
                {"0", 0, "0"},
                {"1_024k", 1 << 20, "1MiB"}};
    static const char *const bad[] = {"",    "GiB",  "4 GiBs",    "4X",     "1e400",
                                      "1.5", "1.5B", "99999999T", "4GiB 3", "0x10G"};
    for (size_t i = 0; i < LS_COUNT_OF(good); i++) {
        int64_t value = -1;
        char text[32];
        CU_ASSERT(ls_number_bytes(good[i].text, &value) && value == good[i].value);
        ls_number_bytes_text(value, text);
        CU_ASSERT_STRING_EQUAL(text, good[i].back);
    }
    for (size_t i = 0; i < LS_COUNT_OF(bad); i++) {
        int64_t value;
        if (ls_number_bytes(bad[i], &value))
            fprintf(stderr, "'%s' was read as %lld\n", bad[i], (long long)value);
        CU_ASSERT_FALSE(ls_number_bytes(bad[i], &value));
    }
}

static void test_nearest(void)
{
    CU_ASSERT_EQUAL(ls_edit_distance("layers", "layers"), 0);
    CU_ASSERT_EQUAL(ls_edit_distance("layer", "layers"), 1);
    CU_ASSERT_EQUAL(ls_edit_distance("lyaers", "layers"), 1);
    CU_ASSERT_EQUAL(ls_edit_distance("", "abc"), 3);
    CU_ASSERT_EQUAL(ls_edit_distance("kitten", "sitting"), 3);
    CU_ASSERT_STRING_EQUAL(ls_nearest_setting(thing_settings, "layer").best, "layers");
    CU_ASSERT_STRING_EQUAL(ls_nearest_setting(thing_settings, "nrom").best, "norm");
    CU_ASSERT_PTR_NULL(ls_nearest_setting(thing_settings, "zzzzzz").best);
    CU_ASSERT_STRING_EQUAL(ls_nearest_setting(ls_train_settings, "learn").best, "learning_rate");
    LsNearest part = ls_nearest_setting(ls_train_settings, "prompts"),
              none = ls_nearest_setting(ls_train_settings, "zzz");
    CU_ASSERT_STRING_EQUAL(ls_nearest_hint(&part), "; did you mean 'sample_prompts'?");
    CU_ASSERT_STRING_EQUAL(ls_nearest_hint(&none), "");
    CU_ASSERT_STRING_EQUAL(ls_nearest_setting(ls_train_settings, "batchsize").best, "batch");
}

static void test_settings(void)
{
    Thing thing;
    memset(&thing, 0xff, sizeof thing);
    ASSERT_OK(ls_settings_defaults(thing_settings, &thing));
    CU_ASSERT(thing.layers == 12 && thing.rate == 1e-3 && thing.tied && !thing.path);
    CU_ASSERT_STRING_EQUAL(thing.norm, "layer");
    ASSERT_OK(ls_settings_set(thing_settings, &thing, "layers", "5e2"));
    ASSERT_OK(ls_settings_set(thing_settings, &thing, "path", "null"));
    CU_ASSERT(thing.layers == 500);
    CU_ASSERT_STRING_EQUAL(thing.path, "null");
    ASSERT_OK(ls_settings_set(thing_settings, &thing, "path", NULL));
    CU_ASSERT_PTR_NULL(thing.path);
    ASSERT_OK(ls_settings_set(thing_settings, &thing, "tied", "false"));
    CU_ASSERT_FALSE(thing.tied);
    ASSERT_FAILS(ls_settings_set(thing_settings, &thing, "layers", "0"), LS_USAGE,
                 "layers: 0 is out of range: 1 to 1000");
    ASSERT_FAILS(ls_settings_set(thing_settings, &thing, "layers", NULL), LS_USAGE, "layers: has no value");
    ASSERT_FAILS(ls_settings_set(thing_settings, &thing, "norm", "rsm"), LS_USAGE,
                 "'rsm' is none of layer|rms; did you mean 'rms'?");
    ASSERT_FAILS(ls_settings_set(thing_settings, &thing, "tied", "maybe"), LS_USAGE, "neither true nor false");
    ASSERT_FAILS(ls_settings_set(thing_settings, &thing, "layer", "1"), LS_USAGE, "did you mean 'layers'?");
    CU_ASSERT(thing.layers == 500); /* failures change nothing */
    CU_ASSERT_STRING_EQUAL(thing.norm, "layer");
    static const char *const texts[][2] = {{"runs/a-1.h5", "runs/a-1.h5"},
                                           {"true", "\"true\""},
                                           {"12", "\"12\""},
                                           {"No", "\"No\""},
                                           {"", "\"\""},
                                           {"a b", "\"a b\""},
                                           {"a\"b\\c\n", "\"a\\\"b\\\\c\\x0a\""},
                                           {"~", "\"~\""}};
    for (size_t i = 0; i < LS_COUNT_OF(texts); i++) {
        ASSERT_OK(ls_settings_set(thing_settings, &thing, "path", texts[i][0]));
        char *text = ls_setting_text(&thing_settings[3], &thing);
        CU_ASSERT_STRING_EQUAL(text, texts[i][1]);
        ls_free(text);
    }
    ls_settings_free(thing_settings, &thing);
}

int main(void)
{
    return harness_run("settings", (HarnessTest[]){{"numbers", test_numbers},
                                                   {"numbers to text and back", test_number_round_trip},
                                                   {"bytes", test_bytes},
                                                   {"nearest names", test_nearest},
                                                   {"settings", test_settings},
                                                   {0}});
}
