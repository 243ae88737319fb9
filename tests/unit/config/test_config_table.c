/* The table of keys and what is made of it: the sample file, --help and the man page tell of every key, and no other.
 */
#include "config_files_support.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/config_keys.h"

/* Reads the sample that is installed; freed by the caller. */
static char *read_sample(void)
{
    FILE *f = fopen(SAMPLE_FILE, "re");
    assert_non_null(f);
    char *text = calloc(1, 65536);
    assert_non_null(text);
    size_t length = fread(text, 1, 65535, f);
    assert_true(length > 0 && length < 65535);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void the_sample_as_it_is_installed_is_sound_and_empty(void **state)
{
    char *text = read_sample();
    struct config *config = load_sound(state, text);
    assert_int_equal(config->pool_count, 1);
    assert_string_equal(config->pools[0].name, "default");
    config_free(config);
    free(text);
}

/* Is there a line "#key = value" or "#key =" between `from` and `to`? */
static bool shows_key(const char *from, const char *to, const struct config_key *key)
{
    char line[256];
    int n = snprintf(line, sizeof line, "\n#%s =%s%s", key->name, key->preset[0] ? " " : "", key->preset);
    assert_true(n > 0 && (size_t)n < sizeof line);
    const char *at = strstr(from, line);
    return at && at < to && (key->preset[0] == '\0' || at[n] == '\n');
}

static void the_sample_shows_every_key_with_its_default(void **state)
{
    (void)state;
    char *text = read_sample();
    const char *pools = strstr(text, "\n#[pool default]\n");
    assert_non_null(pools);
    for (int section = CONFIG_SECTION_DAEMON; section < CONFIG_SECTION_COUNT; section++) {
        size_t count;
        const struct config_key *keys = config_keys((enum config_section)section, &count);
        for (size_t i = 0; i < count; i++)
            if (!(section == CONFIG_SECTION_DAEMON ? shows_key(text, pools, &keys[i])
                                                   : shows_key(pools, pools + strlen(pools), &keys[i])))
                fail_msg("the sample does not show %s = %s", keys[i].name, keys[i].preset);
    }
    free(text);
}

static void the_sample_with_every_key_uncommented_is_sound(void **state)
{
    char *text = read_sample(), *to = text;
    bool begin = true;
    for (const char *at = text; *at; at++) {
        /* "#key" and "#[section]" are switched on; "# text" stays a comment. */
        if (begin && *at == '#' && (islower((unsigned char)at[1]) || at[1] == '['))
            at++;
        begin = *at == '\n';
        *to++ = *at;
    }
    *to = '\0';
    struct config *config = NULL;
    struct config_report report = {0};
    struct config_arguments arguments = {.file = files_write(state, "/x.conf", text)};
    int r = config_load(&config, &arguments, &report);
    if (report.text)
        fail_msg("the sample is mistaken:\n%s", report.text);
    assert_int_equal(r, 0);
    config_free(config);
    free(text);
}

static void help_and_manual_tell_of_every_key(void **state)
{
    (void)state;
    char *help = NULL, *manual = NULL;
    size_t help_length, manual_length;
    FILE *out = open_memstream(&help, &help_length);
    config_print_keys(out);
    assert_int_equal(fclose(out), 0);
    for (int section = CONFIG_SECTION_DAEMON; section < CONFIG_SECTION_COUNT; section++) {
        out = open_memstream(&manual, &manual_length);
        config_keys_print_manual((enum config_section)section, out);
        assert_int_equal(fclose(out), 0);
        size_t count, shown = 0;
        const struct config_key *keys = config_keys((enum config_section)section, &count);
        for (const char *at = strstr(manual, "\n\t"); at; at = strstr(at + 1, "\n\t"))
            shown++;
        assert_int_equal(shown, count);
        for (size_t i = 0; i < count; i++) {
            char line[128], allowed[256];
            snprintf(line, sizeof line, "\n  %s =", keys[i].name);
            assert_non_null(strstr(help, line));
            assert_non_null(strstr(help, keys[i].sentence));
            config_keys_allowed(&keys[i], allowed, sizeof allowed);
            assert_true(strlen(allowed) > 0 && strlen(allowed) < sizeof allowed - 1);
            assert_ptr_equal(config_keys_find((enum config_section)section, keys[i].name), &keys[i]);
        }
        free(manual);
        manual = NULL;
    }
    free(help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_sample_as_it_is_installed_is_sound_and_empty, files_setup, files_teardown),
        cmocka_unit_test(the_sample_shows_every_key_with_its_default),
        cmocka_unit_test_setup_teardown(the_sample_with_every_key_uncommented_is_sound, files_setup, files_teardown),
        cmocka_unit_test(help_and_manual_tell_of_every_key),
    };
    return cmocka_run_group_tests_name("config table", tests, NULL, NULL);
}
