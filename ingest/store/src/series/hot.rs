//! The tail: samples that are durable in the journal and not yet in a chunk, and the newest
//! sample of every point.
//!
//! - Changed by the writer thread after its commit, copied from by readers.
//! - What of it is to be sealed when is not known here: see `book`.

use fengsui_telemetry::TimeMs;

use super::book::Book;
use super::key::{base, bucket_of};
use super::tail::Tail;
use crate::{Intake, Sample};

/// Points of one page of the table of tails.
const POINTS_A_PAGE: usize = 256;

/// The page of a point, and its place there.
fn place(point: u32) -> (usize, usize) {
    let point = usize::try_from(point).unwrap_or(usize::MAX);
    (point / POINTS_A_PAGE, point % POINTS_A_PAGE)
}

#[derive(Default)]
struct PointTails {
    last: Option<Sample>,
    /// The tail that took the last sample: nearly always the one for the next as well.
    current: Option<Tail>,
    /// The rest, by bucket, ascending.
    others: Vec<Tail>,
}

impl PointTails {
    fn get(&self, bucket: i64) -> Option<&Tail> {
        match &self.current {
            Some(tail) if tail.bucket == bucket => Some(tail),
            Some(_) | None => self.place(bucket).ok().and_then(|at| self.others.get(at)),
        }
    }

    fn take(&mut self, bucket: i64) -> Option<Tail> {
        if self.current.as_ref().is_some_and(|tail| tail.bucket == bucket) {
            return self.current.take();
        }
        self.place(bucket).ok().map(|at| self.others.remove(at))
    }

    /// Makes the tail of this bucket the current one; true if it is new.
    fn turn_to(&mut self, bucket: i64) -> bool {
        let found = self.take(bucket);
        let opened = found.is_none();
        let before = self.current.as_ref().filter(|tail| tail.bucket == bucket - 1);
        let expected = before.map_or(0, Tail::len);
        let wanted = found.unwrap_or_else(|| Tail::new(bucket, expected));
        if let Some(tail) = self.current.replace(wanted) {
            let at = self.place(tail.bucket).unwrap_or_else(|at| at);
            self.others.insert(at, tail);
        }
        opened
    }

    fn place(&self, bucket: i64) -> Result<usize, usize> {
        self.others.binary_search_by_key(&bucket, |tail| tail.bucket)
    }
}

/// The tails of all points. Point numbers are dense, so a table in pages is both smaller and
/// quicker than a map: the next point of a scan lies beside the last.
#[derive(Default)]
pub(super) struct Hot {
    pages: Vec<Option<Box<[PointTails]>>>,
}

impl Hot {
    fn get(&self, point: u32) -> Option<&PointTails> {
        let (page, at) = place(point);
        self.pages.get(page)?.as_ref()?.get(at)
    }

    fn entry(&mut self, point: u32) -> &mut PointTails {
        let (page, at) = place(point);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let fresh = || std::iter::repeat_with(PointTails::default).take(POINTS_A_PAGE).collect();
        self.pages
            .get_mut(page)
            .and_then(|page| page.get_or_insert_with(fresh).get_mut(at))
            .expect("the table was just made long enough, and `at` is below a page's length")
    }

    fn all(&self) -> impl Iterator<Item = (u32, &PointTails)> {
        let firsts = (0..).step_by(POINTS_A_PAGE);
        let pages =
            firsts.zip(&self.pages).filter_map(|(first, page)| Some((first, page.as_ref()?)));
        pages.flat_map(|(first, page)| (first..).zip(page.iter()))
    }

    pub(super) fn latest(&self, point: u32) -> Option<Sample> {
        self.get(point).and_then(|tails| tails.last)
    }

    pub(super) fn latest_all(&self) -> Vec<(u32, Sample)> {
        self.all().filter_map(|(point, tails)| tails.last.map(|last| (point, last))).collect()
    }

    /// Makes a sample the newest of its point unless a later one is known.
    pub(super) fn see_last(&mut self, point: u32, sample: Sample) {
        let last = &mut self.entry(point).last;
        if last.is_none_or(|known| known.te <= sample.te) {
            *last = Some(sample);
        }
    }

    /// Points that have a tail.
    pub(super) fn points(&self) -> Vec<u32> {
        let tailed = self.all().filter(|(_, t)| t.current.is_some() || !t.others.is_empty());
        tailed.map(|(point, _)| point).collect()
    }

    /// The tails of a point whose buckets lie in `first..=last`, in order.
    pub(super) fn tails(&self, point: u32, first: i64, last: i64) -> Vec<Tail> {
        let Some(tails) = self.get(point) else { return Vec::new() };
        let all = tails.others.iter().chain(&tails.current);
        let mut found: Vec<Tail> =
            all.filter(|t| first <= t.bucket && t.bucket <= last).cloned().collect();
        found.sort_unstable_by_key(|tail| tail.bucket);
        found
    }

    pub(super) fn tail(&self, point: u32, bucket: i64) -> Option<&Tail> {
        self.get(point)?.get(bucket)
    }

    /// Takes a sealed tail away.
    pub(super) fn remove(&mut self, book: &mut Book, point: u32, bucket: i64) {
        if let Some(gone) = self.entry(point).take(bucket) {
            book.samples = book.samples.saturating_sub(gone.len());
            book.tails = book.tails.saturating_sub(1);
        }
    }

    /// Adds one sample; true if that opened a tail.
    #[inline]
    fn push(&mut self, book: &mut Book, seq: u64, bucket: i64, point: u32, sample: Sample) -> bool {
        let entry = self.entry(point);
        if entry.last.is_none_or(|known| known.te <= sample.te) {
            entry.last = Some(sample);
        }
        let at_hand = entry.current.as_ref().is_some_and(|tail| tail.bucket == bucket);
        let opened = !at_hand && entry.turn_to(bucket);
        if opened {
            book.tails += 1;
        }
        if let Some(tail) = &mut entry.current {
            let before = tail.len();
            tail.push(seq, sample);
            book.samples = (book.samples + tail.len()).saturating_sub(before);
        }
        opened
    }

    /// Adds what one intake brought. `skip` says which samples a chunk holds already (at a start).
    pub(super) fn apply(
        &mut self,
        book: &mut Book,
        seq: u64,
        intake: &Intake,
        mut skip: impl FnMut(i64, u32) -> bool,
    ) {
        // The bucket of the sample before, its stretch of time and the points whose tails opened
        // there: most often the next sample is in it as well.
        let (mut bucket, mut from, mut to) = (0, TimeMs(1), TimeMs(0));
        let mut touched = false;
        let mut opened = Vec::new();
        for (point, te, reading) in &intake.samples {
            if *te < from || to <= *te {
                let Some(found) = bucket_of(*te, book.bucket_ms) else { continue };
                if touched {
                    book.touch(bucket, seq, intake.ti, &mut opened);
                }
                touched = false;
                bucket = found;
                from = base(bucket, book.bucket_ms);
                to = from + book.bucket_ms;
            }
            let sample = Sample { te: *te, reading: *reading };
            if skip(bucket, *point) {
                self.see_last(*point, sample);
                continue;
            }
            touched = true;
            if self.push(book, seq, bucket, *point, sample) {
                opened.push(*point);
            }
        }
        if touched {
            book.touch(bucket, seq, intake.ti, &mut opened);
        }
    }
}
