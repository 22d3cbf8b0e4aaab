/* Pictures as a data set: each format, what is wrong with files, samples. */
#include "sample_files.h"

#include <png.h>
#include <sys/stat.h>
#include <zlib.h>

#define SIDE 4
#define COUNT 50

/* Pixel (y, x) of picture i. */
static unsigned char pixel_at(int i, int y, int x) { return (unsigned char)(i * 5 + y * 16 + x * 3); }

static int put_header(unsigned char *to, int rank, const int *dim)
{
    int at = 0;
    to[at++] = 0, to[at++] = 0, to[at++] = 8, to[at++] = (unsigned char)rank;
    for (int i = 0; i < rank; i++)
        for (int shift = 24; shift >= 0; shift -= 8)
            to[at++] = (unsigned char)(dim[i] >> shift);
    return at;
}

static unsigned char picture_bytes[64 + COUNT * SIDE * SIDE], label_bytes[64 + COUNT];

/* COUNT pictures of SIDE x SIDE; labels i % classes. Returns the bytes of the picture file. */
static int make_idx(int classes)
{
    int at = put_header(picture_bytes, 3, (int[]){COUNT, SIDE, SIDE}),
        label = put_header(label_bytes, 1, (int[]){COUNT});
    for (int i = 0; i < COUNT; i++) {
        label_bytes[label++] = (unsigned char)(i % classes);
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                picture_bytes[at++] = pixel_at(i, y, x);
    }
    return at;
}

static char *write_gzip(const char *name, const void *bytes, int count)
{
    char *path = path_of(name);
    gzFile file = gzopen(path, "wb");
    CU_ASSERT_EQUAL_FATAL(gzwrite(file, bytes, (unsigned)count), count);
    CU_ASSERT_EQUAL_FATAL(gzclose(file), Z_OK);
    return path;
}

/* All arrays of a split. */
static int64_t read_split(const char *path, const char *split, unsigned char *pixels, int32_t *label)
{
    char name[64];
    int rank;
    bool exists;
    LsFileType type;
    int64_t dim[LS_SEALED_RANK];
    LsSealed *file = ls_sealed_open(path, "images", LS_DATA, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    snprintf(name, sizeof name, "%s/pixels", split);
    ASSERT_OK(ls_sealed_shape(file, name, &exists, &type, &rank, dim));
    if (exists) {
        ASSERT_OK(ls_sealed_read(file, name, LS_FILE_UINT8, dim[0] * dim[1] * dim[2] * dim[3], pixels));
        snprintf(name, sizeof name, "%s/labels", split);
        ASSERT_OK(ls_sealed_read(file, name, LS_FILE_INT32, dim[0], label));
    }
    ls_sealed_close(file);
    return exists ? dim[0] : 0;
}

static unsigned char pixels[1 << 20];
static int32_t labels[1 << 12];

/* Whether picture `at` of `pixels` is number i of make_idx. */
static bool is_picture(int64_t at, int i)
{
    bool same = true;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            same = same && pixels[(at * SIDE + y) * SIDE + x] == pixel_at(i, y, x);
    return same;
}

/* ---- Formats ----------------------------------------------------------------------------------------------------- */

static void test_idx(void)
{
    const char *output = harness_path("idx.h5");
    int bytes = make_idx(10);
    char *plain = write_bytes("a-images-idx3-ubyte", picture_bytes, bytes);
    char *zipped = write_gzip("a-images-idx3-ubyte.gz", picture_bytes, bytes);
    char *label = write_bytes("a-labels-idx1-ubyte", label_bytes, 8 + COUNT);
    char *test = ls_format("%s,%s", plain, label);
    for (int which = 0; which < 2; which++) {
        char *options = ls_format("validation=0.2;test=%s", test);
        ASSERT_OK(prepare_kind("images", options, SOURCES(which ? zipped : plain, label), output));
        ls_free(options);
        int64_t train = read_split(output, "train", pixels, labels);
        CU_ASSERT_EQUAL(train, 40);
        bool seen[COUNT] = {false};
        for (int split = 0; split < 2; split++) {
            int64_t count = read_split(output, split ? "validation" : "train", pixels, labels);
            int last = -1;
            for (int64_t at = 0; at < count; at++)
                for (int i = last + 1; i < COUNT; i++) /* in the order of the source, each in one of both */
                    if (is_picture(at, i)) {
                        CU_ASSERT_FALSE(seen[i]);
                        CU_ASSERT_EQUAL(labels[at], i % 10);
                        seen[i] = true;
                        last = i;
                        break;
                    }
        }
        for (int i = 0; i < COUNT; i++)
            CU_ASSERT(seen[i]);
        CU_ASSERT_EQUAL(read_split(output, "test", pixels, labels), COUNT);
        CU_ASSERT(is_picture(49, 49));
    }
    json_t *object = described(output);
    CU_ASSERT_EQUAL(number_in(object, "train_samples"), 40);
    CU_ASSERT_EQUAL(number_in(object, "validation_samples"), 10);
    CU_ASSERT_EQUAL(number_in(object, "test_samples"), 50);
    CU_ASSERT_EQUAL(number_in(object, "height"), SIDE);
    CU_ASSERT_EQUAL(number_in(object, "classes"), 10);
    CU_ASSERT_EQUAL(number_in(json_object_get(object, "test_by_class"), "7"), 5);
    json_decref(object);
    ls_free(test);
}

/* Mean and deviation are of the training part alone. */
static void test_scaling(void)
{
    const char *output = harness_path("scaling.h5");
    char *images = write_bytes("s-images-idx3-ubyte", picture_bytes, make_idx(2));
    char *label = write_bytes("s-labels-idx1-ubyte", label_bytes, 8 + COUNT);
    ASSERT_OK(prepare_kind("images", "validation=10;classes=even,odd", SOURCES(images, label), output));
    int64_t numbers = read_split(output, "train", pixels, labels) * SIDE * SIDE;
    double sum = 0, squares = 0;
    CU_ASSERT_EQUAL(numbers, 40 * SIDE * SIDE);
    for (int64_t i = 0; i < numbers; i++)
        sum += pixels[i];
    for (int64_t i = 0; i < numbers; i++)
        squares += (pixels[i] - sum / (double)numbers) * (pixels[i] - sum / (double)numbers);
    LsSealed *file = ls_sealed_open(output, "images", LS_DATA, NULL);
    json_t *info = NULL;
    ASSERT_OK(ls_sealed_read_json(file, "info", &info));
    ls_sealed_close(file);
    double mean = json_number_value(json_array_get(json_object_get(info, "mean"), 0));
    double deviation = json_number_value(json_array_get(json_object_get(info, "deviation"), 0));
    CU_ASSERT_DOUBLE_EQUAL(mean, sum / (double)numbers, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(deviation, sqrt(squares / (double)numbers), 1e-9);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(info, "classes"), 1)), "odd");
    json_decref(info);
}

static void test_cifar(void)
{
    static unsigned char record[3 * 3073];
    const char *output = harness_path("cifar.h5");
    for (int i = 0; i < 3; i++) {
        record[i * 3073] = (unsigned char)(3 * i);
        for (int at = 0; at < 3072; at++)
            record[i * 3073 + 1 + at] = (unsigned char)(at * 7 + i);
    }
    char *file = write_bytes("batch.bin", record, sizeof record);
    ASSERT_OK(prepare_kind("images", "", SOURCES(file), output));
    CU_ASSERT_EQUAL(read_split(output, "train", pixels, labels), 3);
    CU_ASSERT_EQUAL(labels[2], 6);
    for (int i = 0; i < 3; i++)
        for (int at = 0; at < 1024; at++)
            for (int channel = 0; channel < 3; channel++)
                CU_ASSERT_EQUAL(pixels[(i * 1024 + at) * 3 + channel], record[i * 3073 + 1 + channel * 1024 + at]);
    json_t *object = described(output);
    CU_ASSERT_EQUAL(number_in(json_object_get(object, "train_by_class"), "frog"), 1);
    json_decref(object);
    char *cut = write_bytes("cut.bin", record, 3073 + 100);
    ASSERT_REFUSED("images", "", SOURCES(cut), LS_DATA, "cut.bin: has 3173 bytes, which is no whole number");
    record[3073] = 10;
    char *outside = write_bytes("outside.bin", record, sizeof record);
    ASSERT_REFUSED("images", "", SOURCES(outside), LS_DATA,
                   "outside.bin: the label of picture 1 (from 0) is 10, but there are 10 classes");
}

/* A picture of one value. */
static void write_png(const char *folder, const char *name, int width, int height, int format, int value)
{
    char relative[128];
    snprintf(relative, sizeof relative, "%s/%s", folder, name);
    const char *path = path_of(relative);
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (unsigned)width, .height = (unsigned)height};
    image.format = (unsigned)format;
    memset(pixels, value, (size_t)(width * height * 4));
    CU_ASSERT_FATAL(png_image_write_to_file(&image, path, 0, pixels, 0, NULL));
}

static char *png_folder(const char *name)
{
    char *folder = path_of(name), *cats = ls_format("%s/cats", folder), *dogs = ls_format("%s/dogs", folder);
    ASSERT_OK(ls_make_folders(cats));
    ASSERT_OK(ls_make_folders(dogs));
    char *relative = ls_format("%s/cats", name), *other = ls_format("%s/dogs", name);
    write_png(relative, "b.png", 3, 2, PNG_FORMAT_RGB, 20);
    write_png(relative, "a.PNG", 3, 2, PNG_FORMAT_RGB, 10);
    write_png(other, "z.png", 3, 2, PNG_FORMAT_RGBA, 255);
    ls_free(cats), ls_free(dogs), ls_free(relative), ls_free(other);
    return folder;
}

static void test_png(void)
{
    const char *output = harness_path("png.h5");
    char *folder = png_folder("animals");
    write_text("animals/cats/notes.txt", "no picture");
    ASSERT_OK(prepare_kind("images", "", SOURCES(folder), output));
    CU_ASSERT_EQUAL(read_split(output, "train", pixels, labels), 3);
    CU_ASSERT(pixels[0] == 10 && pixels[17] == 10 && pixels[18] == 20 && pixels[36] == 255);
    CU_ASSERT(labels[0] == 0 && labels[1] == 0 && labels[2] == 1);
    json_t *object = described(output);
    CU_ASSERT_EQUAL(number_in(object, "skipped_files_that_are_no_pictures"), 1);
    CU_ASSERT_EQUAL(number_in(object, "width"), 3);
    CU_ASSERT_EQUAL(number_in(json_object_get(object, "train_by_class"), "cats"), 2);
    json_decref(object);
    ASSERT_REFUSED("images", "classes=cats,birds", SOURCES(folder), LS_DATA,
                   "dogs: the folder's name is none of the 2");
    write_png("animals/dogs", "y.png", 2, 3, PNG_FORMAT_RGB, 1);
    ASSERT_REFUSED("images", "", SOURCES(folder), LS_DATA, "y.png: is a picture of 2 x 3 with 3 channels, but those");
    char *other = png_folder("cut");
    write_text("cut/dogs/z.png", "\x89PNG\r\n\x1a\nand no more");
    ASSERT_REFUSED("images", "", SOURCES(other), LS_DATA, "cut/dogs/z.png: is no whole PNG picture");
    char *grey = png_folder("grey");
    write_png("grey/dogs", "z.png", 3, 2, PNG_FORMAT_GRAY, 7);
    ASSERT_REFUSED("images", "", SOURCES(grey), LS_DATA, "z.png: is a picture of 3 x 2 with 1 channel, but");
    ASSERT_OK(ls_make_folders(path_of("nothing/in")));
    ASSERT_REFUSED("images", "", SOURCES(path_of("nothing")), LS_DATA, "in: has no PNG pictures");
}

/* ---- What is wrong with idx files -------------------------------------------------------------------------------- */

/* A header of 16 bytes that claims pictures of 33 MB: refused, and no room is made for hundreds of them. */
static void test_large_idx(void)
{
    static const unsigned char header[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 255, 0, 2, 0, 0, 0, 2, 9};
    static const unsigned char label_file[] = {0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 0};
    char *images = write_bytes("l-images-idx3-ubyte", header, sizeof header);
    char *label = write_bytes("l-labels-idx1-ubyte", label_file, sizeof label_file);
    int64_t before = ls_peak_resident_bytes();
    ASSERT_REFUSED("images", "validation=0", SOURCES(images, label), LS_DATA, "l-images-idx3-ubyte");
    CU_ASSERT(ls_peak_resident_bytes() - before < (int64_t)1 << 29);
}

static void test_bad_idx(void)
{
    int bytes = make_idx(3);
    char *images = write_bytes("b-images-idx3-ubyte", picture_bytes, bytes);
    char *label = write_bytes("b-labels-idx1-ubyte", label_bytes, 8 + COUNT);
    char *cut = write_bytes("cut-images-idx3-ubyte", picture_bytes, bytes - 1);
    ASSERT_REFUSED("images", "", SOURCES(cut, label), LS_DATA, "cut-images-idx3-ubyte: is cut short: it ends at byte");
    ASSERT_REFUSED("images", "", SOURCES(images, write_bytes("cut-labels-ubyte", label_bytes, 7 + COUNT)), LS_DATA,
                   "cut-labels-ubyte: is cut short: it ends at byte 57, in the labels");
    picture_bytes[bytes] = 1;
    ASSERT_REFUSED("images", "", SOURCES(write_bytes("long-idx3-ubyte", picture_bytes, bytes + 1), label), LS_DATA,
                   "long-idx3-ubyte: is longer than");
    ASSERT_REFUSED("images", "", SOURCES(label, images), LS_DATA, "has 1 dimension, as labels have");
    ASSERT_REFUSED("images", "", SOURCES(images, images), LS_DATA, "has 3 dimensions, labels have 1");
    ASSERT_REFUSED("images", "", SOURCES(images), LS_USAGE, "idx files come in pairs");
    ASSERT_REFUSED("images", "", SOURCES(write_text("wrong-ubyte", "plain text"), label), LS_DATA,
                   "wrong-ubyte: is no idx file of bytes: it starts with 70 6c 61 69");
    ASSERT_REFUSED("images", "", SOURCES(path_of("missing-ubyte"), label), LS_DATA, "missing-ubyte: No such file");
    ASSERT_REFUSED("images", "", SOURCES(write_text("pictures.dat", "?")), LS_DATA, "name it by --format");
    ASSERT_REFUSED("images", "classes=zero,one", SOURCES(images, label), LS_DATA,
                   "the label of picture 2 (from 0) is 2, but there are 2 classes");
    label_bytes[8] = 3;
    char *test = ls_format("test=%s,%s", images, write_bytes("t-labels-ubyte", label_bytes, 8 + COUNT));
    ASSERT_REFUSED("images", test, SOURCES(images, label), LS_DATA, "the label of picture 0 (from 0) is 3, but");
    ls_free(test);
    label_bytes[7] = COUNT - 1;
    ASSERT_REFUSED("images", "", SOURCES(images, write_bytes("few-labels-ubyte", label_bytes, 7 + COUNT)), LS_DATA,
                   "has 50 pictures, but");
    int other = put_header(picture_bytes, 3, (int[]){COUNT, SIDE / 2, 2 * SIDE});
    char *wide = write_bytes("wide-images-ubyte", picture_bytes, other + COUNT * SIDE * SIDE);
    ASSERT_REFUSED("images", "", SOURCES(images, label, wide, label), LS_DATA,
                   "wide-images-ubyte: has pictures of 8 x 2 with 1 channel, but those of");
    ASSERT_REFUSED("images", "validation=50", SOURCES(images, label), LS_DATA, "50 of 50 samples cannot be held out");
    /* compressed, and the compressed file cut, or a bit of it wrong */
    make_idx(3);
    char *zipped = write_gzip("z-images-ubyte.gz", picture_bytes, bytes), *content = NULL;
    int64_t size = 0;
    ASSERT_OK(ls_file_read(zipped, LS_DATA, &content, &size));
    char *short_file = write_bytes("zc-images-ubyte.gz", content, size - 9);
    ASSERT_REFUSED("images", "", SOURCES(short_file, label), LS_DATA,
                   "zc-images-ubyte.gz: the compressed file is cut short or damaged");
    content[size - 8] ^= 1; /* the checksum at its end */
    char *damaged = write_bytes("zd-images-ubyte.gz", content, size);
    ASSERT_REFUSED("images", "", SOURCES(damaged, label), LS_DATA,
                   "zd-images-ubyte.gz: the compressed file is cut short or damaged");
    ls_free(content);
}

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

static const char *prepared(void)
{
    static char *output;
    if (!output) {
        output = path_of("samples.h5");
        char *images = write_bytes("p-images-idx3-ubyte", picture_bytes, make_idx(5));
        char *label = write_bytes("p-labels-idx1-ubyte", label_bytes, 8 + COUNT);
        ASSERT_OK(prepare_kind("images", "validation=20", SOURCES(images, label), output));
    }
    return output;
}

static void test_fields(void)
{
    LsSource *source = NULL;
    ASSERT_OK(open_kind("images", prepared(), "validation", 0, 1, NULL, &source));
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    char *text = ls_fields_text(&source->fields);
    CU_ASSERT_STRING_EQUAL(text, "pixels 4x4x1, label of 5");
    ls_free(text);
    CU_ASSERT_EQUAL(source->samples, 20);
    json_t *info = json_loads(source->info, 0, NULL);
    double mean = json_number_value(json_array_get(json_object_get(info, "mean"), 0));
    double deviation = json_number_value(json_array_get(json_object_get(info, "deviation"), 0));
    json_decref(info);
    Inputs inputs = inputs_new(source, 21, 0);
    fill_inputs(source, &inputs, 0, 20);
    int64_t count = read_split(prepared(), "validation", pixels, labels);
    float *x = reals_of(&inputs, "pixels");
    for (int64_t i = 0; i < count * SIDE * SIDE; i++)
        CU_ASSERT_DOUBLE_EQUAL(x[i], (pixels[i] - mean) / deviation, 1e-6);
    for (int64_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(ints_of(&inputs, "label")[i], labels[i]);
    CU_ASSERT_EQUAL(ints_of(&inputs, "label")[20], LS_IGNORE);
    ls_free(x);
    ASSERT_FAILS(source->fill(source, inputs.g, &(LsBatch){0, 22, 0}), LS_ERROR, "22 rows");
    inputs_free(&inputs);
    ls_source_free(source);
    ASSERT_OK(open_kind("images", prepared(), "test", 0, 1, NULL, &source));
    CU_ASSERT_PTR_NULL(source);
    ASSERT_FAILS(open_kind("images", prepared(), "tests", 0, 1, NULL, &source), LS_USAGE, "no split 'tests'");
}

/* Each epoch has every sample once, in another order; the same for the same seed. */
static void test_order(void)
{
    LsSource *source = NULL, *other = NULL;
    ASSERT_OK(open_kind("images", prepared(), "train", 0, 7, NULL, &source));
    ASSERT_OK(open_kind("images", prepared(), "train", 0, 8, NULL, &other));
    CU_ASSERT_EQUAL_FATAL(source->samples, 30);
    Inputs inputs = inputs_new(source, 30, 0);
    float *epoch[3];
    int64_t bytes = 30 * SIDE * SIDE * (int64_t)sizeof(float);
    for (int i = 0; i < 3; i++) {
        fill_inputs(i < 2 ? source : other, &inputs, i == 1 ? 30 : 0, 30);
        epoch[i] = reals_of(&inputs, "pixels");
        double sum = 0;
        for (int64_t at = 0; at < 30 * SIDE * SIDE; at++)
            sum += epoch[i][at];
        CU_ASSERT_DOUBLE_EQUAL(sum, 0, 1e-3); /* all of the training part: its mean is taken off */
    }
    CU_ASSERT(memcmp(epoch[0], epoch[1], (size_t)bytes) != 0);
    CU_ASSERT(memcmp(epoch[0], epoch[2], (size_t)bytes) != 0);
    fill_inputs(source, &inputs, 0, 30);
    float *again = reals_of(&inputs, "pixels");
    CU_ASSERT(memcmp(epoch[0], again, (size_t)bytes) == 0);
    ls_free(again);
    for (int i = 0; i < 3; i++)
        ls_free(epoch[i]);
    inputs_free(&inputs);
    ls_source_free(source);
    ls_source_free(other);
}

/* From -1 to 1, and what the model has learnt from goes before what the file says. */
static void test_symmetric(void)
{
    LsSource *source = NULL, *plain = NULL;
    ASSERT_OK(open_kind("images", prepared(), "validation", 0, 1, "scaling=symmetric", &source));
    ASSERT_OK(open_kind("images", prepared(), "validation", 0, 1, NULL, &plain));
    json_t *info = json_loads(source->info, 0, NULL), *own = json_loads(plain->info, 0, NULL);
    CU_ASSERT_EQUAL(json_number_value(json_array_get(json_object_get(info, "mean"), 0)), 127.5);
    double mean = json_number_value(json_array_get(json_object_get(own, "mean"), 0));
    double deviation = json_number_value(json_array_get(json_object_get(own, "deviation"), 0));
    Inputs a = inputs_new(source, 1, 1), b = inputs_new(plain, 1, 1);
    fill_inputs(source, &a, 0, 1);
    fill_inputs(plain, &b, 0, 1);
    float *x = reals_of(&a, "pixels"), *y = reals_of(&b, "pixels");
    for (int i = 0; i < SIDE * SIDE; i++)
        CU_ASSERT_DOUBLE_EQUAL(127.5 + 127.5 * (double)x[i], mean + deviation * (double)y[i], 1e-3);
    ls_free(y);
    inputs_free(&b);
    ls_source_free(plain);
    LsDataOpen open = {.path = prepared(), .split = "validation", .seed = 1, .like = info};
    ASSERT_OK(ls_data_kind("images")->open(&open, &plain));
    b = inputs_new(plain, 1, 1);
    fill_inputs(plain, &b, 0, 1);
    y = reals_of(&b, "pixels");
    CU_ASSERT(memcmp(x, y, SIDE * SIDE * sizeof *x) == 0);
    json_decref(info);
    json_decref(own);
    ls_free(x), ls_free(y);
    inputs_free(&a), inputs_free(&b);
    ls_source_free(source), ls_source_free(plain);
}

static void test_rows_and_pixels(void)
{
    LsSource *rows = NULL, *single = NULL, *whole = NULL;
    ASSERT_OK(open_kind("images", prepared(), "validation", 0, 1, NULL, &whole));
    ASSERT_OK(open_kind("images", prepared(), "validation", SIDE, 1, "as=rows", &rows));
    ASSERT_OK(open_kind("images", prepared(), "validation", 0, 1, "as=pixels", &single));
    CU_ASSERT_EQUAL(rows->sequence, SIDE);
    CU_ASSERT_EQUAL(single->sequence, SIDE * SIDE);
    Inputs a = inputs_new(whole, 20, 0), b = inputs_new(rows, 20, SIDE), c = inputs_new(single, 20, 5);
    fill_inputs(whole, &a, 0, 20);
    fill_inputs(rows, &b, 0, 20);
    float *x = reals_of(&a, "pixels"), *y = reals_of(&b, "values");
    CU_ASSERT(memcmp(x, y, 20 * SIDE * SIDE * sizeof *x) == 0);
    /* a segment of a sequence */
    ASSERT_OK(single->fill(single, c.g, &(LsBatch){0, 20, 10}));
    float *z = reals_of(&c, "values");
    for (int i = 0; i < 20 * 5; i++)
        CU_ASSERT_EQUAL(z[i], x[i / 5 * SIDE * SIDE + 10 + i % 5]);
    ls_free(x), ls_free(y), ls_free(z);
    inputs_free(&a), inputs_free(&b), inputs_free(&c);
    ls_source_free(rows), ls_source_free(single);
    ls_source_free(whole);
    ASSERT_FAILS(open_kind("images", prepared(), "train", 3, 1, "as=rows", &rows), LS_USAGE, "set train.sequence: 4");
}

/* Moved and mirrored in training only, by chance but the same each time. */
static void test_augmentation(void)
{
    LsSource *plain = NULL, *moved = NULL, *validation = NULL;
    ASSERT_OK(open_kind("images", prepared(), "train", 0, 3, NULL, &plain));
    ASSERT_OK(open_kind("images", prepared(), "train", 0, 3, "crop=1;mirror=true", &moved));
    ASSERT_OK(open_kind("images", prepared(), "validation", 0, 3, "crop=1;mirror=true", &validation));
    Inputs inputs = inputs_new(plain, 30, 0);
    fill_inputs(plain, &inputs, 0, 30);
    float *x = reals_of(&inputs, "pixels");
    fill_inputs(moved, &inputs, 0, 30);
    float *y = reals_of(&inputs, "pixels");
    int found[2][3][3] = {{{0}}}, ways = 0;
    for (int i = 0; i < 30; i++) { /* which move makes y of x? */
        int matches = 0;
        for (int way = 0; way < 18; way++) {
            int mirror = way / 9, down = way / 3 % 3 - 1, right = way % 3 - 1;
            bool same = true;
            for (int at = 0; at < SIDE * SIDE && same; at++) {
                int from_y = at / SIDE + down, from_x = (mirror ? SIDE - 1 - at % SIDE : at % SIDE) + right;
                if (from_y >= 0 && from_y < SIDE && from_x >= 0 && from_x < SIDE)
                    same = y[i * SIDE * SIDE + at] == x[(i * SIDE + from_y) * SIDE + from_x];
            }
            if (same && matches++ == 0)
                found[mirror][down + 1][right + 1]++;
        }
        CU_ASSERT(matches >= 1);
    }
    for (int way = 0; way < 18; way++)
        ways += found[way / 9][way / 3 % 3][way % 3] > 0;
    CU_ASSERT(ways >= 8);
    fill_inputs(moved, &inputs, 0, 30);
    float *again = reals_of(&inputs, "pixels");
    CU_ASSERT(memcmp(y, again, 30 * SIDE * SIDE * sizeof *y) == 0);
    fill_inputs(validation, &inputs, 0, 20);
    float *v = reals_of(&inputs, "pixels");
    ls_source_free(validation);
    ASSERT_OK(open_kind("images", prepared(), "validation", 0, 3, NULL, &validation));
    fill_inputs(validation, &inputs, 0, 20);
    float *w = reals_of(&inputs, "pixels");
    CU_ASSERT(memcmp(v, w, 20 * SIDE * SIDE * sizeof *v) == 0);
    ls_free(x), ls_free(y), ls_free(again), ls_free(v), ls_free(w);
    inputs_free(&inputs);
    ls_source_free(plain), ls_source_free(moved), ls_source_free(validation);
}

int main(void)
{
    return harness_run("images", (HarnessTest[]){{"idx files, compressed or not", test_idx},
                                                 {"mean and deviation", test_scaling},
                                                 {"CIFAR-10's batches", test_cifar},
                                                 {"folders of PNG", test_png},
                                                 {"idx files that are not right", test_bad_idx},
                                                 {"a large picture in a small file", test_large_idx},
                                                 {"fields", test_fields},
                                                 {"order", test_order},
                                                 {"rows and pixels as steps", test_rows_and_pixels},
                                                 {"from -1 to 1", test_symmetric},
                                                 {"augmentation", test_augmentation},
                                                 {0}});
}
