#include "config/number.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LONGEST 64

static locale_t plain_locale;
static pthread_once_t plain_once = PTHREAD_ONCE_INIT;

static void make_plain(void) { plain_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* Copies text without the underscores that stand between digits. False where one stands elsewhere, or text is too long
 * or has letters that no number has. */
static bool strip(const char *text, char out[LONGEST + 1])
{
    size_t used = 0;
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == '_') {
            if (i == 0 || !isxdigit((unsigned char)text[i - 1]) || !isxdigit((unsigned char)text[i + 1]))
                return false;
            continue;
        }
        if (!isxdigit((unsigned char)text[i]) && !strchr("+-.xX", text[i]))
            return false;
        if (used == LONGEST)
            return false;
        out[used++] = text[i];
    }
    out[used] = '\0';
    return used > 0;
}

bool ls_number_float(const char *text, double *value)
{
    char plain[LONGEST + 1], *end = NULL;
    if (!strip(text, plain) || strpbrk(plain, "xX"))
        return false;
    pthread_once(&plain_once, make_plain);
    double number = strtod_l(plain, &end, plain_locale);
    if (end == plain || *end || !isfinite(number))
        return false;
    *value = number;
    return true;
}

bool ls_number_int(const char *text, int64_t *value)
{
    char plain[LONGEST + 1], *end = NULL;
    if (!strip(text, plain))
        return false;
    const char *digits = plain + (plain[0] == '+' || plain[0] == '-');
    bool hexadecimal = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    errno = 0;
    long long whole = strtoll(plain, &end, hexadecimal ? 16 : 10);
    if (end != plain && !*end) {
        *value = whole;
        return errno == 0;
    }
    double number = 0;
    /* 2^53: up to there every whole double is the number that was written. */
    if (hexadecimal || !ls_number_float(plain, &number) || number != floor(number) || fabs(number) > 9007199254740992.0)
        return false;
    *value = (int64_t)number;
    return true;
}

void ls_number_text(double value, char text[32])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, value);
        char *comma = strchr(text, ','); /* of a locale that the program around us has set */
        if (comma)
            *comma = '.';
        double back = 0;
        if (ls_number_float(text, &back) && memcmp(&back, &value, sizeof back) == 0)
            return;
    }
}

bool ls_number_bytes(const char *text, int64_t *value)
{
    static const char letters[] = "KMGTP";
    char number[LONGEST + 1];
    size_t digits = strspn(text, "0123456789._+-");
    const char *unit = text + digits;
    if (digits == 0 || digits > LONGEST)
        return false;
    while (*unit == ' ')
        unit++;
    memcpy(number, text, digits);
    number[digits] = '\0';
    double scale = 1, amount = 0, base = 1024;
    const char *letter = *unit ? strchr(letters, toupper((unsigned char)*unit)) : NULL;
    if (letter) {
        base = strcasecmp(unit + 1, "B") == 0 ? 1000 : 1024;
        if (unit[1] && base == 1024 && strcasecmp(unit + 1, "iB") != 0)
            return false;
        scale = pow(base, (double)(letter - letters + 1));
    } else if (*unit && strcasecmp(unit, "B") != 0)
        return false;
    if (!ls_number_float(number, &amount) || !(fabs(amount * scale) < 9007199254740992.0))
        return false;
    *value = (int64_t)floor(amount * scale);
    return letter || (double)*value == amount;
}

void ls_number_bytes_text(int64_t value, char text[32])
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int unit = 0;
    for (; value != 0 && value % 1024 == 0 && unit < 5; unit++)
        value /= 1024;
    snprintf(text, 32, "%lld%s", (long long)value, units[unit]);
}
