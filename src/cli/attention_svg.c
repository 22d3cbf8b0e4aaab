#include "cli/attention_svg.h"

#include "io/file.h"
#include "plot/svg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In pixels: side of a cell, width of a letter of a label, and what is left free around a matrix. */
enum { CELL = 24, LETTER = 8, MARGIN = 12 };

struct LsAttentionSvg {
    FILE *body; /* writes into text */
    char *text;
    size_t bytes;
    int64_t width, height; /* of what is drawn */
};

LsAttentionSvg *ls_attention_svg_new(void)
{
    LsAttentionSvg *svg = ls_alloc(sizeof *svg);
    if (!svg)
        return NULL;
    svg->body = open_memstream(&svg->text, &svg->bytes);
    if (svg->body)
        return svg;
    ls_free(svg);
    ls_fail(LS_RESOURCE, "out of memory for the picture");
    return NULL;
}

/* Characters of UTF-8. */
static int64_t letters(const char *text)
{
    int64_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static int64_t longest_label(char *const *label, int64_t count)
{
    int64_t most = 0;
    for (int64_t i = 0; i < count; i++)
        most = letters(label[i]) > most ? letters(label[i]) : most;
    return most;
}

/* Row i of the matrix, whose upper left corner is (x, y). */
static void draw_row(const LsAttentionSvg *svg, const LsAlignment *a, int64_t i, int64_t x, int64_t y)
{
    int64_t top = y + i * CELL;
    ls_svg_text(svg->body, (double)x - 6, (double)top + 16, LS_ANCHOR_END, false, a->target[i]);
    for (int64_t j = 0; j < a->columns; j++) {
        double weight = (double)a->weight[i * a->columns + j];
        weight = weight < 0 ? 0 : weight > 1 ? 1 : weight;
        /* from white to a dark blue */
        fprintf(svg->body, "<rect x=\"%lld\" y=\"%lld\" width=\"%d\" height=\"%d\" fill=\"#%02x%02x%02x\"><title>",
                (long long)(x + j * CELL), (long long)top, CELL, CELL, (unsigned)(255 - 247 * weight + 0.5),
                (unsigned)(255 - 207 * weight + 0.5), (unsigned)(255 - 148 * weight + 0.5));
        ls_xml_text(svg->body, a->target[i]);
        fputs(" / ", svg->body);
        ls_xml_text(svg->body, a->source[j]);
        fprintf(svg->body, " %.3f</title></rect>\n", weight);
    }
}

LsStatus ls_attention_svg_add(LsAttentionSvg *svg, const LsAlignment *a)
{
    int64_t x = MARGIN + LETTER * longest_label(a->target, a->rows),
            y = svg->height + MARGIN + LETTER * longest_label(a->source, a->columns);
    for (int64_t j = 0; j < a->columns; j++)
        ls_svg_text(svg->body, (double)(x + j * CELL + 16), (double)y - 6, LS_ANCHOR_START, true, a->source[j]);
    for (int64_t i = 0; i < a->rows; i++)
        draw_row(svg, a, i, x, y);
    fprintf(svg->body, "<rect x=\"%lld\" y=\"%lld\" width=\"%lld\" height=\"%lld\" fill=\"none\" stroke=\"#888\"/>\n",
            (long long)x, (long long)y, (long long)a->columns * CELL, (long long)a->rows * CELL);
    int64_t right = x + a->columns * CELL + MARGIN;
    svg->width = right > svg->width ? right : svg->width;
    svg->height = y + a->rows * CELL + MARGIN;
    return ferror(svg->body) ? ls_fail(LS_RESOURCE, "out of memory for the picture") : LS_OK;
}

LsStatus ls_attention_svg_save(LsAttentionSvg *svg, const char *path)
{
    char *whole = NULL;
    size_t bytes = 0;
    FILE *file = fflush(svg->body) == 0 ? open_memstream(&whole, &bytes) : NULL;
    if (!file)
        return ls_fail(LS_RESOURCE, "out of memory for the picture");
    ls_svg_begin(file, svg->width > 0 ? (int)svg->width : 1, svg->height > 0 ? (int)svg->height : 1);
    fwrite(svg->text, 1, svg->bytes, file);
    ls_svg_end(file);
    LsStatus status = fclose(file) == 0 ? ls_file_replace(path, whole, (int64_t)bytes)
                                        : ls_fail(LS_RESOURCE, "out of memory for the picture");
    free(whole);
    return status;
}

void ls_attention_svg_free(LsAttentionSvg *svg)
{
    if (!svg)
        return;
    fclose(svg->body);
    free(svg->text);
    ls_free(svg);
}
