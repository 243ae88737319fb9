/* Which sections and keys stand in a file, and which files there are: config_read.h and config_files.h. */
#include "config_files_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config/config_files.h"
#include "daemon/config/config_parse.h"
#include "daemon/config/config_read.h"

/* Reads text and puts what is found into one string: "LINE[section]" and "LINE:key=value;". */
static void read_text(void **state, const char *text, char *out, size_t size, struct config_report *report)
{
    struct config_entries entries = {0};
    *report = (struct config_report){0};
    assert_int_equal(config_read_file(files_write(state, "/x.conf", text), &entries, report), 0);
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < entries.count; i++) {
        const struct config_entry *entry = &entries.items[i];
        int n = entry->key ? snprintf(out + used, size - used, "%u:%s=%s;", entry->line, entry->key, entry->value)
                           : snprintf(out + used, size - used, "%u[%s]", entry->line, entry->section);
        assert_true(n > 0 && (size_t)n < size - used);
        used += (size_t)n;
    }
    config_entries_reset(&entries);
}

static void assert_reads(void **state, const char *text, const char *expected)
{
    char found[1024];
    struct config_report report;
    read_text(state, text, found, sizeof found, &report);
    if (report.text)
        fail_msg("unexpected mistakes:\n%s", report.text);
    assert_string_equal(found, expected);
}

static void sections_keys_and_values_are_found_with_their_lines(void **state)
{
    assert_reads(state, "", "");
    assert_reads(state, "# only a comment", "");
    assert_reads(
        state, "[a]\nx=1\n\n  y = two words  \n[pool  b ]\n\tz = a=b\n", "1[a]2:x=1;4:y=two words;5[pool b]6:z=a=b;");
    assert_reads(state, "\xef\xbb\xbf[a]\r\nx = 1\r\n", "1[a]2:x=1;");
}

static void empty_sections_and_empty_values_are_found(void **state)
{
    assert_reads(state, "[a]\n[b]\nx=\ny = \nz = # nothing\n[c]", "1[a]2[b]3:x=;4:y=;5:z=;6[c]");
}

static void comments_begin_the_line_or_follow_a_blank(void **state)
{
    assert_reads(state, " # c\n;c\n[a] # c\nx = 1 # c # d\ny = #fff\nz = a#b;c ; d\nw=\"a # b\" # c\n",
        "3[a]4:x=1;5:y=;6:z=a#b;c ; d;7:w=\"a # b\";");
}

static void quotes_reach_the_reader_of_the_value_untouched(void **state)
{
    assert_reads(state, "[a]\nv=\"x\"\nw=\"A=b c\" \"D=e\"\nx=A=\"b c\"\ny=\"\nz=\"\"\n",
        "1[a]2:v=\"x\";3:w=\"A=b c\" \"D=e\";4:x=A=\"b c\";5:y=\";6:z=\"\";");
}

static void each_mistaken_line_is_reported_and_the_rest_is_read(void **state)
{
    char found[1024];
    struct config_report report;
    read_text(state,
        "stray = 1\n[a]\nx = 1\nx = 2\nno equals\n = 3\ntwo words = 4\n[open\nhidden = 5\n[a]\nhidden = 6\n[] \n[b] c\n"
        "hidden\n[d]\nbad\x01 = 1\ny = 7\n  and more\n",
        found, sizeof found, &report);
    assert_string_equal(found, "2[a]3:x=1;15[d]17:y=7;");
    assert_int_equal(report.count, 11);
    static const char *const lines[] = {
        ":1: stray = 1: stands before the first section; expected [daemon] or [pool NAME]\n",
        ":4: [a] x: is set in line 3 already\n",
        ":5: [a] no equals: expected key = value\n",
        ":6: [a] expected one word before the =\n",
        ":7: [a] two words: expected one word before the =\n",
        ":8: [open: expected [section] and nothing else in the line\n",
        ":10: [a] began in line 2 already; keep its keys together\n",
        ":12: a section needs a name: [daemon] or [pool NAME]\n",
        ":13: [b] c: expected [section] and nothing else in the line\n",
        ":16: [d] this is not text\n",
        ":18: [d] and more: expected key = value\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!strstr(report.text, lines[i]))
            fail_msg("not reported: %s but\n%s", lines[i], report.text);
    config_report_reset(&report);
}

static void long_lines_and_long_files_are_refused(void **state)
{
    char found[64];
    struct config_report report;
    static char text[CONFIG_FILE_MAX + 2];
    int n = sprintf(text, "[a]\nx = ");
    memset(text + n, 'x', CONFIG_LINE_MAX);
    strcpy(text + n + CONFIG_LINE_MAX, "\ny = 1\n");
    read_text(state, text, found, sizeof found, &report);
    assert_string_equal(found, "1[a]3:y=1;");
    assert_non_null(strstr(report.text, ":2: [a] the line is too long; 8000 bytes are allowed\n"));
    config_report_reset(&report);

    memset(text, '\n', CONFIG_FILE_MAX + 1);
    text[CONFIG_FILE_MAX + 1] = '\0';
    read_text(state, text, found, sizeof found, &report);
    assert_non_null(strstr(report.text, ": is too large; 1048576 bytes are allowed\n"));
    config_report_reset(&report);
}

static void a_line_of_the_longest_length_is_read_whole(void **state)
{
    char text[CONFIG_LINE_MAX + 16];
    int n = sprintf(text, "[a]\nx=");
    memset(text + n, 'y', CONFIG_LINE_MAX - 2);
    strcpy(text + n + CONFIG_LINE_MAX - 2, "\nz=1\n");
    struct config_entries entries = {0};
    struct config_report report = {0};
    assert_int_equal(config_read_file(files_write(state, "/x.conf", text), &entries, &report), 0);
    assert_int_equal(report.count, 0);
    assert_int_equal(entries.count, 3);
    assert_int_equal(strlen(entries.items[1].value), CONFIG_LINE_MAX - 2);
    config_entries_reset(&entries);
}

static void what_is_no_file_or_anybodys_is_refused(void **state)
{
    struct config_entries entries = {0};
    struct config_report report = {0};
    char path[512];
    assert_int_equal(config_read_file(*state, &entries, &report), 0);
    assert_non_null(strstr(report.text, ": is not a file\n"));
    snprintf(path, sizeof path, "%s/fifo", (const char *)*state);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(config_read_file(path, &entries, &report), 0);
    assert_non_null(strstr(report.text, "/fifo: is not a file\n"));
    const char *open_file = files_write(state, "/open.conf", "[daemon]\n");
    assert_int_equal(chmod(open_file, 0666), 0);
    assert_int_equal(config_read_file(open_file, &entries, &report), 0);
    assert_non_null(strstr(report.text, "/open.conf: may be written by everybody; chmod o-w it\n"));
    snprintf(path, sizeof path, "%s/absent", (const char *)*state);
    assert_int_equal(config_read_file(path, &entries, &report), 0);
    assert_non_null(strstr(report.text, "/absent: cannot be read: No such file or directory\n"));
    assert_int_equal(report.count, 4);
    config_report_reset(&report);
    assert_int_equal(config_read_file("/dev/null", &entries, &report), 0);
    assert_int_equal(report.count, 0);
    assert_int_equal(entries.count, 0);
}

static void assert_files(void **state, const char *file, const char *expected)
{
    struct config_strings files = {0};
    struct config_report report = {0};
    char found[1024] = "";
    assert_int_equal(config_files_list(*state, file, &files, &report), 0);
    assert_int_equal(report.count, 0);
    for (size_t i = 0; i < files.count; i++) {
        assert_true(strncmp(files.items[i], *state, strlen(*state)) == 0);
        assert_true(strlen(found) + strlen(files.items[i]) + 2 < sizeof found);
        strcat(strcat(found, files.items[i] + strlen(*state)), " ");
    }
    config_strings_reset(&files);
    assert_string_equal(found, expected);
}

static void the_administrators_files_stand_above_the_vendors(void **state)
{
    assert_files(state, NULL, "");
    files_write(state, "/usr/lib/mpoold/mpoold.conf", "");
    assert_files(state, NULL, "/usr/lib/mpoold/mpoold.conf ");
    files_write(state, "/usr/lib/mpoold/mpoold.conf.d/20-vendor.conf", "");
    files_write(state, "/usr/lib/mpoold/mpoold.conf.d/50-both.conf", "");
    files_write(state, "/etc/mpoold/mpoold.conf.d/50-both.conf", "");
    files_write(state, "/etc/mpoold/mpoold.conf.d/10-first.conf", "");
    files_write(state, "/etc/mpoold/mpoold.conf.d/README", "");
    files_write(state, "/etc/mpoold/mpoold.conf.d/.hidden.conf", "");
    files_write(state, "/etc/mpoold/mpoold.conf.d/90-old.conf.bak", "");
    assert_files(state, NULL,
        "/usr/lib/mpoold/mpoold.conf /etc/mpoold/mpoold.conf.d/10-first.conf "
        "/usr/lib/mpoold/mpoold.conf.d/20-vendor.conf /etc/mpoold/mpoold.conf.d/50-both.conf ");
    files_write(state, "/etc/mpoold/mpoold.conf", "");
    assert_files(state, NULL,
        "/etc/mpoold/mpoold.conf /etc/mpoold/mpoold.conf.d/10-first.conf "
        "/usr/lib/mpoold/mpoold.conf.d/20-vendor.conf /etc/mpoold/mpoold.conf.d/50-both.conf ");
}

static void a_named_file_has_its_own_dropins_and_no_others(void **state)
{
    char file[512];
    files_write(state, "/etc/mpoold/mpoold.conf", "");
    files_write(state, "/mine.conf.d/b.conf", "");
    files_write(state, "/mine.conf.d/a.conf", "");
    snprintf(file, sizeof file, "%s/mine.conf", (const char *)*state);
    assert_files(state, file, "/mine.conf /mine.conf.d/a.conf /mine.conf.d/b.conf ");
}

#define IN_FILES(f) cmocka_unit_test_setup_teardown(f, files_setup, files_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FILES(sections_keys_and_values_are_found_with_their_lines),
        IN_FILES(empty_sections_and_empty_values_are_found),
        IN_FILES(comments_begin_the_line_or_follow_a_blank),
        IN_FILES(quotes_reach_the_reader_of_the_value_untouched),
        IN_FILES(each_mistaken_line_is_reported_and_the_rest_is_read),
        IN_FILES(long_lines_and_long_files_are_refused),
        IN_FILES(a_line_of_the_longest_length_is_read_whole),
        IN_FILES(what_is_no_file_or_anybodys_is_refused),
        IN_FILES(the_administrators_files_stand_above_the_vendors),
        IN_FILES(a_named_file_has_its_own_dropins_and_no_others),
    };
    return cmocka_run_group_tests_name("config_read", tests, NULL, NULL);
}
