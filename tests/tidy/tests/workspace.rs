//! The rules over the whole tree. A failure lists every breach with file, line and mend.

use fengsui_tidy::Breach;
use fengsui_tidy::source::Source;
use fengsui_tidy::tree::Tree;
use fengsui_tidy::words::TextFile;
use fengsui_tidy::{arrows, purity, shape, words};

fn tree() -> Tree {
    Tree::read().expect("the workspace can be read")
}

fn list(breaches: &[Breach]) -> String {
    breaches.iter().map(|breach| format!("  {breach}\n")).collect()
}

fn check(breaches: impl Iterator<Item = Breach>) {
    let breaches: Vec<Breach> = breaches.collect();
    assert!(breaches.is_empty(), "{} breach(es)\n{}", breaches.len(), list(&breaches));
}

fn check_sources(rule: impl Fn(&Source) -> Vec<Breach>) {
    check(tree().sources.iter().flat_map(rule));
}

fn check_texts(rule: impl Fn(&TextFile) -> Vec<Breach>) {
    check(tree().texts.iter().flat_map(rule));
}

#[test]
fn arrows_point_where_they_may() {
    check(tree().manifests.iter().flat_map(arrows::arrows_point_where_they_may));
}

#[test]
fn lints_are_the_workspaces() {
    check(tree().manifests.iter().flat_map(arrows::lints_are_the_workspaces));
}

#[test]
fn thinkers_are_pure() {
    check_sources(purity::thinkers_are_pure);
}

#[test]
fn only_clock_files_read_a_clock() {
    check_sources(purity::only_clock_files_read_a_clock);
}

#[test]
fn files_open_with_a_header() {
    check_sources(shape::files_open_with_a_header);
}

#[test]
fn files_are_short() {
    let tree = tree();
    let longer_than = |most| {
        let long = |source| shape::files_are_short(source, most);
        tree.sources.iter().flat_map(long).collect::<Vec<_>>()
    };
    let long = longer_than(shape::LINES_GOOD);
    if !long.is_empty() {
        println!("long, not yet too long:\n{}", list(&long));
    }
    check(longer_than(shape::LINES_MAX).into_iter());
}

#[test]
fn no_test_is_ignored() {
    check_sources(shape::no_test_is_ignored);
}

#[test]
fn nothing_is_left_for_later() {
    check_sources(shape::nothing_is_left_for_later);
}

#[test]
fn tests_never_sleep() {
    check_sources(shape::tests_never_sleep);
}

#[test]
fn queues_are_bounded() {
    check_sources(shape::queues_are_bounded);
}

#[test]
fn nothing_is_unwrapped() {
    check_sources(shape::nothing_is_unwrapped);
}

#[test]
fn nothing_is_marked_unfinished() {
    check_texts(words::nothing_is_marked_unfinished);
}

#[test]
fn no_path_of_one_machine() {
    check_texts(words::no_path_of_one_machine);
}

#[test]
fn no_host_of_a_registry() {
    let tree = tree();
    let files = tree.texts.iter().chain(&tree.locks);
    check(files.flat_map(words::no_host_of_a_registry));
}

#[test]
fn no_word_for_a_private_tool() {
    check_texts(|file| words::no_word_for_a_private_tool(file, words::PRIVATE));
}

#[test]
fn names_say_something() {
    check(tree().texts.iter().flat_map(|file| words::names_say_something(&file.path)));
}

#[test]
fn pages_are_short() {
    check_texts(words::pages_are_short);
}
