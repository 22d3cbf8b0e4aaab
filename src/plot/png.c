#include "plot/png.h"

#include <png.h>
#include <setjmp.h>

static void on_error(png_structp png, png_const_charp message)
{
    (void)message;
    longjmp(*(jmp_buf *)png_get_error_ptr(png), 1);
}

static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }

/* libpng reports by a jump: nothing that is changed after setjmp is read after it. */
LsStatus ls_png_write(FILE *out, int64_t width, int64_t height, int64_t channels, const unsigned char *pixels)
{
    jmp_buf failed;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &failed, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info || setjmp(failed)) {
        png_destroy_write_struct(&png, &info);
        return ls_fail(LS_RESOURCE, "out of memory for a picture of %lld x %lld", (long long)width, (long long)height);
    }
    png_init_io(png, out);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8,
                 channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int64_t row = 0; row < height; row++)
        png_write_row(png, pixels + row * width * channels);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return LS_OK;
}
