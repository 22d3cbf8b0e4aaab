#include "config/yaml.h"

#include "base/names.h"
#include "config/config.h"
#include "config/no_job.h"
#include "config/other_names.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MOST_MISTAKES ((int)LS_COUNT_OF(((LsMistakes *)0)->list))
#define DEEPEST 8

/* ---- Mistakes ------------------------------------------------------------------------------------------------- */

void ls_mistakes_add(LsMistakes *mistakes, int line, const char *format, ...)
{
    int index = mistakes->count++;
    if (index >= MOST_MISTAKES)
        return;
    char what[1024], where[32] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    if (line > 0)
        snprintf(where, sizeof where, "line %d: ", line);
    char *text = ls_format("%s%s", line == 0 ? "command line: " : where, what);
    mistakes->failed = mistakes->failed || !text;
    /* Kept in order of lines as they come; those without one, which stand for the whole or the command line, last. */
    for (; index > 0 && line > 0 && (mistakes->list[index - 1].line > line || mistakes->list[index - 1].line <= 0);
         index--)
        mistakes->list[index] = mistakes->list[index - 1];
    mistakes->list[index].line = line;
    mistakes->list[index].text = text;
}

bool ls_mistakes_full(const LsMistakes *mistakes) { return mistakes->count >= MOST_MISTAKES; }

/* The message of several: one line each. */
static LsStatus tell(const LsMistakes *mistakes)
{
    char text[12288];
    size_t used = 0;
    int told = 0;
    for (; told < mistakes->count && told < MOST_MISTAKES && used + 1100 < sizeof text; told++)
        used += (size_t)snprintf(text + used, sizeof text - used, "\n  %s", mistakes->list[told].text);
    if (told < mistakes->count)
        snprintf(text + used, sizeof text - used, "\n  and %d more", mistakes->count - told);
    return ls_fail(LS_USAGE, "%s: %d mistakes:%s", mistakes->name, mistakes->count, text);
}

LsStatus ls_mistakes_status(LsMistakes *mistakes)
{
    LsStatus status = LS_OK;
    if (mistakes->failed) /* checks that came later may have left another message */
        status = ls_fail(LS_RESOURCE, "%s: out of memory for the configuration", mistakes->name);
    else if (mistakes->count == 1)
        status = ls_fail(LS_USAGE, "%s: %s", mistakes->name, mistakes->list[0].text);
    else if (mistakes->count > 1)
        status = tell(mistakes);
    for (int i = 0; i < mistakes->count && i < MOST_MISTAKES; i++)
        ls_free(mistakes->list[i].text);
    *mistakes = (LsMistakes){.name = mistakes->name};
    return status;
}

/* ---- Entries --------------------------------------------------------------------------------------------------- */

static LsStatus append(LsYamlEntries *entries, const char *section, const char *key, const char *value, int line)
{
    if (entries->count == entries->room) {
        int room = entries->room ? 2 * entries->room : 64;
        LsYamlEntry *list = ls_alloc_array(room, sizeof *list);
        if (!list)
            return LS_RESOURCE;
        if (entries->count)
            memcpy(list, entries->list, (size_t)entries->count * sizeof *list);
        ls_free(entries->list);
        entries->list = list;
        entries->room = room;
    }
    LsYamlEntry *entry = &entries->list[entries->count++];
    *entry = (LsYamlEntry){
        .section = ls_strdup(section), .key = ls_strdup(key), .value = value ? ls_strdup(value) : NULL, .line = line};
    return entry->section && entry->key && (entry->value || !value) ? LS_OK : LS_RESOURCE;
}

void ls_yaml_free(LsYamlEntries *entries)
{
    for (int i = 0; i < entries->count; i++) {
        ls_free(entries->list[i].section);
        ls_free(entries->list[i].key);
        ls_free(entries->list[i].value);
    }
    ls_free(entries->list);
    *entries = (LsYamlEntries){0};
}

/* ---- What may not stand in a configuration ----------------------------------------------------------------------- */

/* Bytes that no text has: an HDF5 file, a program, UTF-16. */
static bool is_text(const char *text, size_t bytes, LsMistakes *mistakes)
{
    int line = 1;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char letter = (unsigned char)text[i];
        line += letter == '\n';
        if ((letter < 32 && letter != '\n' && letter != '\t' && letter != '\r') || letter == 127) {
            ls_mistakes_add(mistakes, line, "byte 0x%02x: this is not a text file; a configuration is YAML in UTF-8",
                            letter);
            return false;
        }
    }
    return true;
}

/* Whether a line (0, 1, ...) of the text is indented by a tab. */
static bool has_tab(const char *text, size_t bytes, size_t line)
{
    const char *end = text + bytes;
    for (; line > 0 && text; line--)
        text = (text = memchr(text, '\n', (size_t)(end - text))) ? text + 1 : NULL;
    while (text && text < end && *text == ' ')
        text++;
    return text && text < end && *text == '\t';
}

static void syntax_mistake(const yaml_parser_t *parser, const char *text, size_t bytes, int base, LsMistakes *mistakes)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        mistakes->failed = true;
        ls_fail(LS_RESOURCE, "out of memory in the YAML reader");
    } else if (parser->error == YAML_READER_ERROR)
        ls_mistakes_add(mistakes, base ? -1 : 0, "%s at byte %zu: the text must be UTF-8", parser->problem,
                        parser->problem_offset);
    else if (base && has_tab(text, bytes, parser->problem_mark.line))
        ls_mistakes_add(mistakes, (int)parser->problem_mark.line + base,
                        "a tab before the name: YAML indents by blanks");
    else
        ls_mistakes_add(mistakes, base ? (int)parser->problem_mark.line + base : 0, "%s%s%s%s", parser->problem,
                        parser->context ? " " : "", parser->context ? parser->context : "",
                        base && !ls_names_section(text, bytes) ? "; a job file is YAML with sections (model:, data:, "
                                                                 "train:, output:), and this one has none"
                                                               : "");
}

/* Names the feature of YAML that an event uses and a configuration may not use; NULL: none. */
static const char *forbidden(const yaml_event_t *event, int depth, int documents)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor || event->type == YAML_ALIAS_EVENT)
        return "anchors (&) and aliases (*) are not allowed; write the value out, or in quotes";
    if (tag)
        return "tags (!) are not allowed; a text that starts with one needs quotes";
    if (depth > DEEPEST)
        return "nested too deeply";
    return documents > 1 ? "a second document ('---') starts here; a configuration is one" : NULL;
}

/* One pass over the events, before any tree is built: aliases in it could make it endless. base: number of the first
 * line, 0 for a value of the command line. */
static bool scan(const char *text, size_t bytes, int base, LsMistakes *mistakes)
{
    yaml_parser_t parser;
    yaml_event_t event;
    if (!yaml_parser_initialize(&parser)) {
        mistakes->failed = true;
        return false;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    bool fine = true;
    for (int depth = 0, documents = 0; fine;) {
        if (!yaml_parser_parse(&parser, &event)) {
            syntax_mistake(&parser, text, bytes, base, mistakes);
            fine = false;
            break;
        }
        bool start = event.type == YAML_MAPPING_START_EVENT || event.type == YAML_SEQUENCE_START_EVENT;
        bool end = event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT;
        depth += start - end;
        documents += event.type == YAML_DOCUMENT_START_EVENT;
        const char *reason = forbidden(&event, depth, documents);
        if (reason) {
            ls_mistakes_add(mistakes, base ? (int)event.start_mark.line + base : 0, "%s", reason);
            fine = false;
        }
        bool last = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (last)
            break;
    }
    yaml_parser_delete(&parser);
    return fine;
}

/* ---- The tree ---------------------------------------------------------------------------------------------------- */

static int line_of(const yaml_node_t *node) { return (int)node->start_mark.line + 1; }

static const char *kind_of(const yaml_node_t *node)
{
    return node->type == YAML_SEQUENCE_NODE ? "a list" : "a section";
}

/* The text of a scalar; NULL for null. */
static const char *scalar(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;
    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return text;
    return !*text || !strcmp(text, "~") || !strcmp(text, "null") || !strcmp(text, "Null") || !strcmp(text, "NULL")
               ? NULL
               : text;
}

/* A scalar inside a list or map as JSON; NULL with a mistake where it is none. */
static json_t *member(yaml_document_t *document, int index, const char *what, int line, LsMistakes *mistakes)
{
    const yaml_node_t *node = yaml_document_get_node(document, index);
    const char *text = node->type == YAML_SCALAR_NODE ? scalar(node) : NULL;
    json_t *value = NULL;
    if (node->type != YAML_SCALAR_NODE)
        ls_mistakes_add(mistakes, line, "%s: %s inside it, where one value belongs", what, kind_of(node));
    else if (!text)
        ls_mistakes_add(mistakes, line, "%s: has nothing where a value belongs", what);
    else if (strlen(text) != node->data.scalar.length)
        ls_mistakes_add(mistakes, line, "%s: has a zero byte in it", what);
    else if (!(value = json_string(text)))
        mistakes->failed = true;
    return value;
}

static json_t *read_list(yaml_document_t *document, const yaml_node_t *node, const char *what, int line,
                         LsMistakes *mistakes)
{
    json_t *list = json_array();
    for (const yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        json_t *value = member(document, *item, what, line, mistakes);
        if (!list || !value || json_array_append_new(list, value) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *read_map(yaml_document_t *document, const yaml_node_t *node, const char *what, int line,
                        LsMistakes *mistakes)
{
    json_t *map = json_object();
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; pair < node->data.mapping.pairs.top; pair++) {
        json_t *key = member(document, pair->key, what, line, mistakes);
        json_t *value = key ? member(document, pair->value, what, line, mistakes) : NULL;
        bool twice = value && json_object_get(map, json_string_value(key));
        if (twice)
            ls_mistakes_add(mistakes, line, "%s: %s stands twice", what, json_string_value(key));
        if (twice)
            json_decref(value);
        bool good = map && value && !twice && json_object_set_new(map, json_string_value(key), value) == 0;
        json_decref(key);
        if (!good) {
            json_decref(map);
            return NULL;
        }
    }
    return map;
}

static LsStatus append_members(yaml_document_t *document, const char *section, const char *key, const yaml_node_t *node,
                               int line, LsYamlEntries *entries, LsMistakes *mistakes)
{
    bool list = node->type == YAML_SEQUENCE_NODE;
    int before = mistakes->count;
    char *what = ls_format("%s.%s", section, key);
    json_t *members = !what  ? NULL
                      : list ? read_list(document, node, what, line, mistakes)
                             : read_map(document, node, what, line, mistakes);
    char *text = members ? json_dumps(members, JSON_COMPACT) : NULL;
    LsStatus status = text ? append(entries, section, key, text, line) : LS_OK;
    if (text && status == LS_OK)
        entries->list[entries->count - 1].form = list ? LS_YAML_LIST : LS_YAML_MAP;
    if (!text && mistakes->count == before)
        status = ls_fail(LS_RESOURCE, "out of memory for the configuration");
    json_decref(members);
    free(text);
    ls_free(what);
    return status;
}

/* The key of a pair as text; NULL with a mistake where it is none, or where it stood before. lines: of the keys so
 * far. */
static const char *key_text(yaml_document_t *document, const yaml_node_pair_t *pair, LsNames **lines,
                            LsMistakes *mistakes)
{
    const yaml_node_t *node = yaml_document_get_node(document, pair->key);
    if (node->type != YAML_SCALAR_NODE || strlen((const char *)node->data.scalar.value) != node->data.scalar.length) {
        ls_mistakes_add(mistakes, line_of(node), "a name belongs before the colon");
        return NULL;
    }
    const char *key = (const char *)node->data.scalar.value;
    int before = ls_names_find(*lines, key);
    if (before >= 0) {
        ls_mistakes_add(mistakes, line_of(node), "%s stands twice, first in line %d", key, before);
        return NULL;
    }
    if (ls_names_add(lines, key, line_of(node)) == LS_OK)
        return key;
    mistakes->failed = true;
    return NULL;
}

static LsStatus read_section(yaml_document_t *document, const char *section, const yaml_node_t *node,
                             LsYamlEntries *entries, LsMistakes *mistakes)
{
    LsNames *lines = NULL;
    LsStatus status = LS_OK;
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; pair < node->data.mapping.pairs.top && status == LS_OK; pair++) {
        const char *key = key_text(document, pair, &lines, mistakes);
        const yaml_node_t *value = yaml_document_get_node(document, pair->value);
        if (!key)
            continue;
        if (value->type != YAML_SCALAR_NODE)
            status = append_members(document, section, key, value, line_of(yaml_document_get_node(document, pair->key)),
                                    entries, mistakes);
        else if (strlen((const char *)value->data.scalar.value) != value->data.scalar.length)
            ls_mistakes_add(mistakes, line_of(value), "%s.%s: has a zero byte in it", section, key);
        else
            status = append(entries, section, key, scalar(value), line_of(yaml_document_get_node(document, pair->key)));
    }
    ls_names_free(lines);
    return status;
}

static LsStatus read_root(yaml_document_t *document, LsYamlEntries *entries, LsMistakes *mistakes)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    if (!root) {
        ls_mistakes_add(mistakes, -1, "is empty; a configuration has the sections model, data, train, output");
        return LS_OK;
    }
    if (root->type != YAML_MAPPING_NODE) {
        ls_mistakes_add(mistakes, line_of(root), "%s where sections (model:, data:, train:, output:) belong",
                        root->type == YAML_SCALAR_NODE ? "a plain text" : "a list");
        return LS_OK;
    }
    LsNames *lines = NULL;
    LsStatus status = LS_OK;
    const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
    for (; pair < root->data.mapping.pairs.top && status == LS_OK; pair++) {
        const char *section = key_text(document, pair, &lines, mistakes);
        const yaml_node_t *value = yaml_document_get_node(document, pair->value);
        int line = line_of(yaml_document_get_node(document, pair->key));
        if (!section)
            continue;
        if (value->type == YAML_MAPPING_NODE) {
            status = append(entries, section, "", NULL, line); /* the section itself, so that its name is checked */
            if (status == LS_OK)
                status = read_section(document, section, value, entries, mistakes);
        } else if (value->type == YAML_SCALAR_NODE && !scalar(value))
            status = append(entries, section, "", NULL, line);
        else
            ls_mistakes_add(mistakes, line, "%s: %s where settings (name: value) belong", section,
                            value->type == YAML_SCALAR_NODE ? "a value" : kind_of(value));
    }
    ls_names_free(lines);
    return status;
}

LsStatus ls_yaml_read(const char *text, size_t bytes, LsYamlEntries *entries, LsMistakes *mistakes)
{
    const char *records = ls_looks_like_records(text, bytes);
    if (records) {
        ls_mistakes_add(mistakes, -1,
                        "looks like %s; a job file is YAML with sections (model:, data:, train:, output:), and "
                        "'lockstep prepare' makes a data set of such a file",
                        records);
        return LS_OK;
    }
    if (!is_text(text, bytes, mistakes) || !scan(text, bytes, 1, mistakes))
        return mistakes->failed ? LS_RESOURCE : LS_OK;
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser))
        return ls_fail(LS_RESOURCE, "out of memory in the YAML reader");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    LsStatus status = LS_OK;
    if (yaml_parser_load(&parser, &document)) {
        status = read_root(&document, entries, mistakes);
        yaml_document_delete(&document);
    } else
        syntax_mistake(&parser, text, bytes, 1, mistakes);
    yaml_parser_delete(&parser);
    return status;
}

/* ---- Command line ------------------------------------------------------------------------------------------------ */

/* Whether a value is written as YAML: in quotes, or as a list or a section. All other values stand for themselves. */
static bool is_yaml(const char *value)
{
    static const char pairs[][2] = {{'"', '"'}, {'\'', '\''}, {'[', ']'}, {'{', '}'}};
    size_t length = strlen(value);
    for (size_t i = 0; i < LS_COUNT_OF(pairs); i++)
        if (length >= 2 && value[0] == pairs[i][0] && value[length - 1] == pairs[i][1])
            return true;
    return false;
}

static bool is_null(const char *value)
{
    return !*value || !strcmp(value, "~") || !strcmp(value, "null") || !strcmp(value, "Null") || !strcmp(value, "NULL");
}

/* text: the value as YAML. */
static LsStatus override_value(const char *section, const char *key, const char *text, LsYamlEntries *entries,
                               LsMistakes *mistakes)
{
    yaml_parser_t parser;
    yaml_document_t document;
    if (!scan(text, strlen(text), 0, mistakes))
        return mistakes->failed ? LS_RESOURCE : LS_OK;
    if (!yaml_parser_initialize(&parser))
        return ls_fail(LS_RESOURCE, "out of memory in the YAML reader");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    LsStatus status = LS_OK;
    if (yaml_parser_load(&parser, &document)) {
        const yaml_node_t *root = yaml_document_get_root_node(&document);
        if (root && root->type != YAML_SCALAR_NODE)
            status = append_members(&document, section, key, root, 0, entries, mistakes);
        else if (root && strlen((const char *)root->data.scalar.value) != root->data.scalar.length)
            ls_mistakes_add(mistakes, 0, "%s.%s: has a zero byte in it", section, key);
        else
            status = append(entries, section, key, root ? scalar(root) : NULL, 0);
        yaml_document_delete(&document);
    } else
        syntax_mistake(&parser, text, strlen(text), 0, mistakes);
    yaml_parser_delete(&parser);
    return status;
}

/* A name without its section is the mistake that people make. */
static void no_assignment(const char *text, LsMistakes *mistakes)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
    const char *section = strchr(text, '=') ? ls_section_with(name) : NULL;
    const char *here = section ? NULL : ls_other_name(name);
    const char *names_it = strchr(text, '=') ? NULL : ls_setting_of_file(text);
    if (names_it)
        ls_mistakes_add(mistakes, 0, "'%s' is not of the form section.name=value; write %s=%s", text, names_it, text);
    else if (section)
        ls_mistakes_add(mistakes, 0, "'%s' is not of the form section.name=value; write %s.%s", text, section, text);
    else if (here)
        ls_mistakes_add(mistakes, 0, "'%s' is not of the form section.name=value; write %s", text, here);
    else
        ls_mistakes_add(mistakes, 0, "'%s' is not of the form section.name=value (train.steps=500)", text);
}

LsStatus ls_yaml_override(const char *assignment, LsYamlEntries *entries, LsMistakes *mistakes)
{
    const char *equals = strchr(assignment, '='), *dot = strchr(assignment, '.');
    if (!equals || !dot || dot > equals || dot == assignment || dot + 1 == equals) {
        no_assignment(assignment, mistakes);
        return LS_OK;
    }
    const char *value = equals + 1;
    char *section = ls_format("%.*s", (int)(dot - assignment), assignment);
    char *key = ls_format("%.*s", (int)(equals - dot - 1), dot + 1);
    /* quoted, for YAML's idea of a text */
    char *text = is_yaml(value) ? ls_strdup(value) : ls_setting_quote(value);
    LsStatus status = !section || !key || !text ? LS_RESOURCE
                      : is_null(value)          ? append(entries, section, key, NULL, 0)
                                                : override_value(section, key, text, entries, mistakes);
    ls_free(text);
    ls_free(section);
    ls_free(key);
    return status;
}
