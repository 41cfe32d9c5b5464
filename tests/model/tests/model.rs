//! What has to hold does, and each fault that is planted is found, as what it leads to.
use profiled_test_model as runtime;

macro_rules! hold {
    ($($model:ident)*) => {$(
        #[test]
        fn $model() {
            runtime::as_written::models::$model();
        }
    )*};
}

hold! {
    inserts_race
    a_line_overflows
    a_block_is_handed_over
    a_look_beside_changes
    slices_are_met_at_once
    a_thread_draws
    a_thread_goes_aside
    a_holder_is_charged
    two_holders_are_charged
    a_wait_is_cancelled
    a_child_begins_anew
    holders_are_asked
    two_begin_anew
}

macro_rules! found {
    ($($fault:ident: $model:ident, $found:literal;)*) => {$(
        #[test]
        #[should_panic(expected = $found)]
        fn $fault() {
            runtime::$fault::models::$model();
        }
    )*};
}

found! {
    a_slot_is_taken_without_asking: inserts_race, "it is there";
    a_level_is_placed_without_asking: inserts_race, "it is there";
    a_level_is_published_relaxed: inserts_race, "Causality violation";
    a_lookup_ends_with_the_first_level: a_line_overflows, "it is there";
    the_filter_counts_in_two_steps: a_block_is_handed_over, "the filter denies";
    the_key_comes_first: a_look_beside_changes, "of two different blocks";
    the_birth_is_published_relaxed: a_look_beside_changes, "of two different blocks";
    the_key_is_published_relaxed: a_look_beside_changes, "of two different blocks";
    a_slot_is_filled_without_a_fence: a_look_beside_changes, "of two different blocks";
    the_key_is_not_looked_at_again: a_look_beside_changes, "of two different blocks";
    the_birth_is_not_looked_at_again: a_look_beside_changes, "of two different blocks";
    a_record_is_linked_relaxed: slices_are_met_at_once, "Causality violation";
    what_was_linked_meanwhile_is_not_looked_at: slices_are_met_at_once, "one slice, one record";
    the_version_is_not_compared: a_thread_draws, "no such total";
    a_version_that_changes_is_taken: a_thread_draws, "no such total";
    a_draw_is_not_fenced: a_thread_draws, "no such total";
    a_pause_is_not_fenced: a_thread_goes_aside, " after ";
    what_is_kept_is_published_relaxed: a_thread_goes_aside, " after ";
    a_charge_is_made_without_asking: two_holders_are_charged, "what was waited is charged";
    a_charge_notes_its_moment_late: a_holder_is_charged, "charged up to later";
    a_charge_is_published_relaxed: a_holder_is_charged, "charged up to later";
    who_leaves_last_leaves_a_debt: a_holder_is_charged, "takes what is left";
    a_question_is_put_over_another: holders_are_asked, "question";
    a_question_is_taken_back_before_its_mark: holders_are_asked, "that no holder sees";
    an_answer_is_given_to_whoever_asks: holders_are_asked, "nobody asks any more";
    two_clear_an_old_generation: a_child_begins_anew, "nobody waits and nothing is due";
    a_generation_is_cleared_in_the_open: two_begin_anew, "more than was waited";
}
