"""The security controls S1 to S20, and the tests that prove each. Where a part of one is not in this version, it says so.

A line is (what must hold, tests as FILE::NAME below tests/). `test_controls` sees that each of them is there.
"""

from typing import NamedTuple


class Control(NamedTuple):
    """One control. `later` is what of it stands in no version yet, and why; empty where nothing is left."""

    name: str
    tests: tuple[str, ...]
    later: str = ""


CONTROLS = {
    "S1": Control(
        "sockets as open as asked and never wider, who a client is comes from the kernel, a dead socket is taken over under the lock",
        (
            "api/test_doors.py::test_a_socket_has_the_mode_that_was_asked_for",
            "api/test_doors.py::test_it_is_never_open_wider_than_asked",
            "api/test_doors.py::test_a_dead_socket_is_taken_over_and_a_living_one_is_not",
            "daemon/test_process.py::test_a_second_daemon_names_the_first",
            "daemon/test_process.py::test_the_sockets_are_as_open_as_configured",
            "daemon/test_routes.py::test_a_clients_own_limits",
            "security/test_socket.py::test_who_a_client_is_comes_from_the_kernel",
            "security/test_socket.py::test_another_user_is_kept_out_by_the_mode",
        ),
    ),
    "S2": Control(
        "the feed: Host and Origin, tokens as digests in constant time, none in the query, loopback alone without one",
        (
            "api/test_feed_access.py::test_credentials",
            "api/test_feed_access.py::test_foreign_pages_may_not",
            "api/test_feed_access.py::test_hosts",
            "api/test_feed_access.py::test_who_comes_through_a_proxy_is_not_from_here",
            "api/test_feed_access.py::test_without_a_token_only_this_machine_may_read",
            "security/test_tokens.py::test_every_token_is_compared_in_constant_time",
            "security/test_tokens.py::test_a_token_in_the_query_is_refused_and_not_repeated",
        ),
        "the HTTP API itself",
    ),
    "S3": Control(
        "bounds on heads, bodies, connections, lines, depth and websocket frames",
        (
            "api/test_web_limits.py::test_whoever_is_slow_is_closed",
            "api/test_web_limits.py::test_ten_thousand_silent_ones_keep_nobody_out",
            "api/test_web_limits.py::test_one_peer_makes_room_for_itself",
            "api/test_web.py::test_the_largest_head_that_is_taken",
            "api/test_web.py::test_bodies",
            "api/test_feed_door.py::test_who_speaks_too_much_still_hears_why_it_ends",
            "api/test_feed_door.py::test_there_is_room_for_so_many",
            "daemon/test_lines.py::test_a_bad_line_costs_that_line_alone",
            "daemon/test_lines.py::test_too_long_a_line_is_skipped_whole",
        ),
    ),
    "S4": Control(
        "outbound HTTP: nothing of the environment, no redirect, verified TLS, a cap on what is read, no other encoding, few connections",
        (
            "provider/test_pool.py::test_nothing_of_the_environment",
            "provider/test_pool.py::test_every_origin_has_its_own_connections_within_one_bound",
            "provider/test_http.py::test_after_the_first_byte",
            "provider/test_tls.py::test_the_shared_context_is_strict",
            "config/test_findings.py::test_a_finding_names_key_line_and_remedy",
            "provider/test_http.py::test_a_whole_answer",
            "provider/test_requests.py::test_what_the_transport_says_itself",
        ),
    ),
    "S5": Control(
        "a secret never prints, in no form, and a library's words never come into the log",
        (
            "words/test_secret.py::test_never_shown",
            "words/test_secret.py::test_never_logged",
            "ops/test_notify.py::test_of_a_library_only_the_place_is_told",
            "ops/test_notify.py::test_a_logged_exception_shows_its_type_and_never_its_text",
            "plugins/test_conformance.py::test_a_call_names_every_form_of_its_secrets",
            "plugins/test_conformance.py::test_an_answer_that_repeats_what_was_sent_is_not_repeated",
            "security/test_canary.py::test_a_leak_fails_the_test_that_has_it",
        ),
    ),
    "S6": Control(
        "secrets from files that others cannot read, from credentials, read again at a reload; no core file, no look into the memory",
        (
            "config/test_secrets.py::test_one_that_cannot_be_read_is_a_problem_except_for_twins",
            "config/test_secrets.py::test_from_systemds_credentials",
            "config/test_secrets.py::test_secrets_of_files_are_read_again_and_their_change_is_a_change",
            "config/test_findings.py::test_who_else_can_read_or_change_the_file",
            "ops/test_shield.py::test_no_core_file_and_no_look_into_its_memory",
            "test_deploy.py::test_no_secret_stands_in_the_unit",
        ),
    ),
    "S7": Control(
        "callbacks: a secret in the path, one uniform 404, bounds, tokens of the same account alone, rotation with an overlap",
        (
            "daemon/test_callbacks.py::test_whoever_is_nobody_gets_one_answer",
            "daemon/test_callbacks.py::test_a_token_picks_nothing_of_another_account",
            "daemon/test_callback_secrets.py::test_a_secret_is_rotated_with_an_overlap",
            "daemon/test_callback_secrets.py::test_of_three_secrets_the_first_is_dead",
            "daemon/test_callback_crowd.py::test_a_crowd_keeps_nobody_out",
        ),
        "signed callbacks: no provider of these signs",
    ),
    "S8": Control(
        "what a provider decodes is what was meant, whatever stands in text and number",
        (
            "provider/test_requests.py::test_nothing_is_injected",
            "security/test_injection.py::test_what_the_twin_decodes_is_what_was_meant",
            "security/test_injection_smpp.py::test_what_the_smsc_decodes_is_what_was_meant",
            "text/test_numbers.py::test_anything_is_read_whole_or_refused_without_showing_it",
        ),
    ),
    "S9": Control(
        "texts: no NUL, control or lone surrogate; counted before money is spent; cut in no character",
        (
            "text/test_clean.py::test_every_character_of_unicode",
            "text/test_clean.py::test_refused",
            "text/test_stories.py::test_stories_by_seed",
        ),
    ),
    "S10": Control(
        "senders and countries of a client, forms of senders, velocity by prefix and client, caps on what is spent",
        (
            "daemon/test_routes.py::test_a_clients_own_limits",
            "text/test_senders.py::test_bad",
            "daemon/test_guards.py::test_what_is_over_the_rate_of_a_prefix_is_held",
            "daemon/test_guards.py::test_a_client_has_a_rate_too",
            "daemon/test_routes.py::test_a_spend_cap_holds",
            "routing/test_match.py::test_key",
        ),
        "premium numbers are barred by a rule (match.type), not by default",
    ),
    "S11": Control(
        "XML in: no DTD, no entity, 64 KB, 20 deep",
        ("text/test_markup.py::test_what_is_refused_and_at_once", "text/test_markup.py::test_nothing_else_is_raised"),
    ),
    "S12": Control(
        "a client gives no address: webhooks stand in the file alone, https or said to be in clear, no redirect, under twins nobody else",
        (
            "security/test_socket.py::test_a_submit_has_no_field_for_an_address",
            "daemon/test_hooks_statuses.py::test_under_twins_nothing_leaves_this_machine",
            "config/test_faults.py::test_a_fault_names_key_line_and_remedy",
        ),
    ),
    "S13": Control(
        "SMPP: bounds of frames and parameters, states, window, generic_nack, TLS, a password that is never shown",
        (
            "smpp/test_frames.py::test_the_least_and_the_most_pass",
            "smpp/test_codec.py::test_any_octets_are_read_or_refused",
            "smpp/test_codec.py::test_no_value_is_shown",
            "smpp/test_link.py::test_who_may_ask_what_when",
            "smpp/test_link.py::test_an_unknown_command_is_nacked",
        ),
    ),
    "S14": Control("the status page", (), "the dashboard is not in this version"),
    "S15": Control(
        "retention of texts and of the rest, overwritten; erase; numbers masked without the scope",
        (
            "daemon/test_keeping.py::test_erase_leaves_no_trace_in_the_file",
            "store/test_retention.py::test_texts",
            "store/test_retention.py::test_messages",
            "api/test_feed_access.py::test_no_number_and_no_text_leaves_for_who_may_not_see_them",
            "daemon/test_keeping.py::test_a_purge_leaves_no_text_and_no_number_in_the_files",
        ),
    ),
    "S16": Control("the sandbox of the unit", ("test_deploy.py::test_directive", "test_deploy.py::test_exposure")),
    "S17": Control(
        "every change is an event in its own transaction; every order is in a chain before it is carried out, with who and under what",
        (
            "store/test_contract.py::test_seq_is_commit_order",
            "store/test_audit.py::test_a_change_is_told",
            "store/test_audit.py::test_the_store_itself_refuses_a_change",
            "daemon/test_audit.py::test_who_ordered_what_and_what_came_of_it",
            "daemon/test_audit.py::test_an_order_is_durable_before_it_is_carried_out",
            "daemon/test_audit.py::test_nothing_that_was_written_in_the_wrong_place_is_kept",
            "cli/test_audit.py::test_a_forged_order_is_told_by_verify",
        ),
    ),
    "S18": Control(
        "a plugin that others than root and the broker's own user could change is refused, one in the broker's own folder too;"
        " it is held against its form",
        (
            "provider/test_registry.py::test_what_somebody_else_owns_is_refused",
            "provider/test_registry.py::test_a_group_with_somebody_else_in_it_is_refused",
            "provider/test_registry.py::test_what_python_keeps_compiled_is_looked_at_too",
            "provider/test_registry.py::test_a_folder_that_is_no_plugins_own_is_refused",
            "provider/test_registry.py::test_a_plugin_that_lacks_something",
            "cli/test_settings.py::test_a_plugin_that_others_could_change_is_no_plugin",
            "ops/test_watchdog.py::test_a_loop_that_does_not_turn_ends_the_process",
            "provider/test_registry.py::test_what_anybody_can_write_to_is_refused",
            "provider/test_registry.py::test_a_twin_that_anybody_can_write_to_is_refused",
        ),
    ),
    "S19": Control(
        "every requirement pinned with its hashes; versions said at the start",
        (
            "security/test_supply.py::test_every_requirement_is_pinned_with_its_hashes",
            "security/test_supply.py::test_nothing_else_is_installed",
            "security/test_supply.py::test_the_versions_are_those_in_use",
        ),
    ),
    "S20": Control(
        "the configuration: unknown keys refused, bounds on size and depth",
        (
            "config/test_odd.py::test_no_value_anywhere_is_more_than_a_problem",
            "config/test_odd.py::test_nesting_without_end_is_a_problem",
            "config/test_faults.py::test_a_fault_names_key_line_and_remedy",
        ),
    ),
}
