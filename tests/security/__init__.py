"""Every clause of the security checklist, and the tests that show that it is kept.

``CLAUSES`` maps a clause, in the order of the checklist (transport, credentials, injection, content, limits), to tests,
each written ``<path below tests>::<name>``. ``test_map.py`` sees to it that they exist. Not there yet, and so without a
test: OAuth and its tokens, a batch file and its permissions, HTML reports, compressed mbox files.
"""

from __future__ import annotations

CLAUSES: dict[str, tuple[str, ...]] = {
    # transport
    "implicit TLS by default, on 993 and 995": (
        "unit/test_endpoints.py::test_each_scheme_has_its_protocol_transport_and_port",
    ),
    "clear text for loopback alone": ("unit/test_endpoints.py::test_clear_text_is_for_loopback",),
    "no STLS or STARTTLS, or a refusal of it, ends it before any credential": (
        "unit/test_pop3_session.py::test_that_is_not_offered_ends_it",
        "unit/test_pop3_session.py::test_that_is_refused_ends_it",
        "unit/test_session.py::test_without_starttls_nothing_is_told",
    ),
    "PREAUTH ends it": ("security/test_transport.py::test_a_login_that_somebody_else_made_ends_it",),
    "an octet behind the agreement ends it": (
        "security/test_transport.py::test_an_octet_behind_the_agreement_in_the_same_packet_ends_it",
        "unit/test_pop3_session.py::test_does_not_begin_over_octets_that_stand_before_it",
        "unit/test_pop3_session.py::test_does_not_begin_over_octets_that_came_earlier",
        "security/test_transport.py::test_answers_that_were_given_before_they_were_asked_for_end_it",
    ),
    "what was said before TLS is forgotten": (
        "unit/test_pop3_session.py::test_by_stls_comes_before_any_credential_and_capabilities_are_asked_again",
        "unit/test_pop3_session.py::test_by_stls_forgets_what_was_said_in_clear_text",
        "unit/test_session.py::test_what_came_before_tls_is_forgotten",
        "security/test_transport.py::test_what_was_offered_in_clear_text_is_asked_again_under_tls",
    ),
    "TLS 1.2 or newer": (
        "unit/test_net.py::test_certificates_and_host_names_are_always_checked_and_old_tls_is_refused",
        "security/test_transport.py::test_tls_older_than_1_2_ends_it",
    ),
    "certificates are checked, host names and dates included": (
        "security/test_transport.py::test_a_certificate_that_proves_nothing_ends_it",
        "unit/test_pop3_session.py::test_is_refused_when_nobody_vouches_for_the_certificate_or_it_is_for_another_name",
    ),
    "what speaks no TLS, or another protocol, hears nothing": (
        "security/test_transport.py::test_what_speaks_no_tls_where_tls_belongs_ends_it",
        "security/test_transport.py::test_nothing_is_said_to_what_answers_in_the_wrong_language",
    ),
    "referrals are ignored": ("security/test_transport.py::test_nobody_is_followed_to_another_server",),
    # credentials
    "no password in an argument or a URL, nor repeated from there": (
        "unit/test_endpoints.py::test_what_could_be_a_password_is_refused_and_never_repeated",
        "security/test_passwords.py::test_a_password_that_was_typed_into_a_url_is_not_repeated_and_its_change_is_advised",
        "security/test_passwords.py::test_it_is_in_no_list_of_processes_while_the_program_is_at_work",
    ),
    "a password file is one's own, regular, no link, closed to others": (
        "unit/test_credentials.py::test_a_password_file_that_others_can_open_is_refused",
        "unit/test_credentials.py::test_what_is_no_regular_file_is_refused",
    ),
    "a password command has no shell, no other password, and its words are not kept": (
        "unit/test_credentials.py::test_a_command_is_run_without_a_shell",
        "unit/test_credentials.py::test_a_command_gets_no_mail_on_its_standard_input_and_no_other_password",
        "unit/test_credentials.py::test_a_failing_command_is_named_by_its_program_and_exit_code_alone",
    ),
    "a Secret shows itself in no repr, pickle or copy": (
        "unit/test_credentials.py::test_a_secret_does_not_show_itself",
    ),
    "no error of a login holds it, nor hangs on what does": (
        "unit/test_session.py::test_no_error_of_a_login_holds_the_password",
        "security/test_passwords.py::test_no_error_of_a_pop3_login_holds_it_nor_hangs_on_what_does",
        "security/test_passwords.py::test_a_connection_that_breaks_while_it_is_sent_does_not_leave_it_in_a_traceback",
    ),
    "no traceback with local variables": (
        "security/test_passwords.py::test_nothing_of_ours_ever_shows_local_variables",
    ),
    "whatever a server repeats is scrubbed, in every form": (
        "unit/test_logs.py::test_a_secret_is_scrubbed_in_every_form_a_protocol_gives_it",
        "unit/test_logs.py::test_a_secret_in_an_exception_is_scrubbed_too",
        "security/test_passwords.py::test_a_server_that_repeats_it_in_any_form_makes_nobody_read_it",
        "security/test_passwords.py::test_an_error_that_is_cut_in_the_middle_of_it_does_not_tell_a_half",
        "system/test_hostile.py::test_a_pop3_server_that_repeats_the_password",
    ),
    "what other libraries log goes nowhere": (
        "unit/test_logs.py::test_what_other_libraries_log_goes_nowhere",
    ),
    "the journal stores no secret": (
        "security/test_passwords.py::test_no_journal_and_no_remembered_move_holds_one",
    ),
    "one failure ends it, and no second mechanism is tried": (
        "security/test_passwords.py::test_a_refused_login_is_tried_once",
        "unit/test_pop3_session.py::test_fails_once_and_is_not_tried_in_another_way",
        "unit/test_session.py::test_refused_logins_are_told_apart",
        "security/test_limits.py::test_a_login_without_end_sends_the_password_once",
    ),
    # injection
    "no NUL, CR or LF in anything that is sent": (
        "unit/test_pop3_wire.py::test_take_no_line_ends_and_no_nul",
        "unit/test_session.py::test_nothing_is_smuggled_into_a_login",
        "unit/test_append.py::test_the_name_is_quoted",
        "unit/test_append.py::test_no_flag_can_break_out",
        "security/test_names_and_text.py::test_a_folder_that_a_person_names_is_refused_rather_than_changed",
    ),
    "a folder that mail names is harmless, one level, and short": (
        "unit/test_rules_folders.py::test_a_hostile_value_is_made_harmless",
        "security/test_names_and_text.py::test_a_folder_that_mail_names_is_one_level_of_the_server_and_nothing_else",
        "security/test_names_and_text.py::test_whatever_a_value_is_it_adds_no_level",
    ),
    "folders that mail names are bounded, over all runs": (
        "unit/test_rules_folders.py::test_past_the_limit_new_folders_become_the_fixed_part_of_their_name",
        "unit/test_rules_folders.py::test_folders_that_earlier_runs_made_count_and_may_be_used_again",
        "security/test_names_and_text.py::test_folders_that_mail_names_are_bounded_over_all_runs",
    ),
    "local names never come from mail or servers": (
        "security/test_names_and_text.py::test_no_name_of_a_file_comes_from_mail_or_from_a_server",
        "unit/test_journal_store.py::test_no_identity_leads_out_of_the_state_directory",
    ),
    "files are private, whatever the umask": (
        "security/test_names_and_text.py::test_whatever_the_umask_nobody_else_reads_what_a_run_leaves",
        "unit/test_journal_store.py::test_nobody_else_can_read_it_whatever_the_umask_is",
        "unit/test_report_files.py::test_a_new_report_is_its_owners_alone",
    ),
    "links and directories of others are not trusted": (
        "unit/test_journal_store.py::test_links_inside_are_never_followed",
        "unit/test_journal_store.py::test_what_belongs_to_somebody_else_is_refused",
        "unit/test_journal_store.py::test_where_everybody_may_write_no_journal_is_kept",
        "security/test_names_and_text.py::test_the_state_directory_of_somebody_else_is_not_used",
        "unit/test_report_files.py::test_a_link_of_ones_own_is_followed_and_one_of_somebody_else_is_not",
        "unit/test_report_files.py::test_what_somebody_else_put_there_gets_no_report_and_stays_as_it_is",
    ),
    # content
    "a regular expression takes linear time on a bounded text": (
        "unit/test_rules_values.py::test_a_regex_takes_linear_time_on_what_makes_others_explode",
        "unit/test_rules_values.py::test_a_regex_looks_at_the_first_four_thousand_characters",
    ),
    "headers are bounded, read in linear time, and never an error": (
        "unit/test_headers.py::test_fields_past_the_limit_are_not_seen",
        "unit/test_headers.py::test_a_quarter_megabyte_of_nastiness_is_read_in_linear_time",
        "unit/test_octets.py::test_the_head_ends_with_its_empty_line",
        "unit/test_rules_engine.py::test_any_mail_at_all_gets_a_decision",
        "fuzz/test_headers_and_journal.py::test_any_header_at_all_is_read",
    ),
    "no MIME body is ever parsed": ("security/test_map.py::test_nothing_of_ours_parses_mime",),
    "a CSV cell is never a formula": (
        "unit/test_report_files.py::test_a_csv_cell_neither_calculates_nor_commands",
        "security/test_names_and_text.py::test_a_csv_is_read_back_as_text_whatever_a_subject_is",
    ),
    "foreign text does nothing to a terminal, a bar, a log or a report": (
        "unit/test_logs.py::test_nothing_can_forge_a_line_or_move_the_cursor",
        "unit/test_progress.py::test_foreign_text_cannot_move_the_cursor",
        "unit/test_report.py::test_foreign_text_is_made_harmless_in_every_form",
        "system/test_hostile.py::test_an_imap_server_that_repeats_the_password_or_names_folders_with_escapes",
        "security/test_names_and_text.py::test_a_file_name_cannot_act_on_a_terminal_nor_forge_a_line",
    ),
    # limits of hostile servers
    "any answer to any command comes to an end": (
        "security/test_limits.py::test_a_pop3_server_may_say_anything_to_anything",
        "security/test_limits.py::test_a_pop3_greeting_may_be_anything",
        "security/test_limits.py::test_an_imap_server_may_say_anything_to_anything",
        "security/test_limits.py::test_an_imap_greeting_may_be_anything",
    ),
    "lines, lists, literals and untagged answers are bounded": (
        "unit/test_pop3_wire.py::test_has_a_limit",
        "unit/test_answers.py::test_nothing_grows_without_bound",
        "unit/test_answers.py::test_chatter_without_end_is_stopped_and_real_talk_is_not",
        "unit/test_session.py::test_hostile_listings_are_protocol_errors",
        "security/test_limits.py::test_capabilities_take_no_more_memory_than_their_lines",
        "security/test_limits.py::test_the_page_on_security_tells_the_limits_that_there_are",
    ),
    "sizes in a listing are never believed and never an error": (
        "security/test_limits.py::test_a_listed_size_is_never_believed_and_never_an_error",
        "unit/test_pop3_listing.py::test_all_the_sizes_that_a_list_may_hold_add_up_to_what_a_journal_can_keep",
    ),
    "names in a listing are kept as they are or not at all": (
        "security/test_limits.py::test_a_name_is_stored_as_it_is_or_not_at_all",
    ),
    "a message has a bound, and so has the disk": (
        "security/test_limits.py::test_a_message_past_the_size_wanted_leaves_nothing_on_the_disk",
        "unit/test_pop3_fetch.py::test_a_message_larger_than_wanted_is_read_to_its_end_and_costs_no_session",
        "unit/test_pop3_fetch.py::test_a_message_without_end_is_left_out_at_once",
        "unit/test_mbox.py::test_a_message_larger_than_wanted_is_said_and_the_rest_goes_on",
        "security/test_limits.py::test_what_is_on_the_way_is_bounded_whatever_the_sizes",
    ),
    "silence and dripping end it": (
        "unit/test_net.py::test_silence_before_the_greeting_is_no_server_and_after_it_a_lost_connection",
        "unit/test_net.py::test_a_server_that_only_drips_is_too_slow",
        "unit/test_pop3_session.py::test_a_message_that_only_drips_ends_it",
        "unit/test_session.py::test_an_answer_that_only_drips_is_given_up",
        "unit/test_session.py::test_a_server_that_falls_silent_is_given_up",
    ),
    "sessions are bounded": (
        "security/test_limits.py::test_a_server_that_ends_each_session_gets_some_and_no_more",
    ),
    "a BYE is the end": ("unit/test_session.py::test_a_farewell_ends_the_session",),
    "UIDs and UIDVALIDITYs that cannot be are not believed": (
        "unit/test_append.py::test_uids_are_believed_only_if_they_can_be_true",
        "security/test_limits.py::test_a_server_that_lies_about_uids_gets_every_message_once",
        "security/test_limits.py::test_a_uidvalidity_that_is_none_is_not_believed",
        "security/test_limits.py::test_a_uidnext_that_is_none_does_not_make_a_survey_endless",
        "security/test_limits.py::test_a_server_whose_uidvalidity_changes_all_the_time_gets_no_message_twice",
        "security/test_limits.py::test_messages_that_were_not_asked_for_are_not_taken_for_those_that_were",
    ),
    "not one octet changes": (
        "system/test_octets.py::test_octets_come_from_pop3_as_they_are",
        "system/test_octets.py::test_octets_come_from_an_mbox_as_they_are",
    ),
}
