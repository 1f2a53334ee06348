//! The tail: samples that are durable in the journal and not yet in a chunk, and the newest
//! sample of every point.
//!
//! - Changed by the writer thread after its commit, copied from by readers.
//! - The [`Book`] beside it is the writer's own: which buckets are open since when, which are
//!   being sealed, and the oldest seq that still waits.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use fengsui_telemetry::{Fault, Reading, TimeMs};

use crate::model::POINT_MAX;
use crate::{Intake, Sample, StoreOptions};

/// A tail costs about so many samples of memory by itself.
const TAIL_WEIGHT: usize = 12;
/// Buckets beyond this many from 1970 do not fit a chunk's key; at ten minutes five million
/// years.
const BUCKET_MAX: i64 = 1 << 38;

/// Multiplies chunk keys apart. Their points come from our own registry: nobody can choose them
/// to collide.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i64(i64::from(*byte));
        }
    }
    fn write_i64(&mut self, number: i64) {
        let mixed = (self.0 ^ number.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

pub(super) type Spreading = BuildHasherDefault<Spread>;

/// Points of one page of the table of tails.
const POINTS_A_PAGE: usize = 256;

/// The page of a point, and its place there.
fn place(point: u32) -> (usize, usize) {
    let point = usize::try_from(point).unwrap_or(usize::MAX);
    (point / POINTS_A_PAGE, point % POINTS_A_PAGE)
}

/// The bucket of a stamp, unless no key can hold it.
pub(super) fn bucket_of(te: TimeMs, bucket_ms: i64) -> Option<i64> {
    let bucket = te.0.div_euclid(bucket_ms);
    (-BUCKET_MAX < bucket && bucket < BUCKET_MAX).then_some(bucket)
}

/// The earliest and the first too late stamp that chunks can hold.
pub(super) fn span(bucket_ms: i64) -> (TimeMs, TimeMs) {
    (base(1 - BUCKET_MAX, bucket_ms), base(BUCKET_MAX, bucket_ms))
}

/// Where a bucket begins.
pub(super) fn base(bucket: i64, bucket_ms: i64) -> TimeMs {
    TimeMs(bucket.saturating_mul(bucket_ms))
}

/// A chunk's key.
pub(super) fn pack(bucket: i64, point: u32) -> i64 {
    (bucket << 24) | i64::from(point & POINT_MAX)
}

/// Bucket and point of a chunk's key.
pub(super) fn unpack(id: i64) -> (i64, u32) {
    let point = u32::try_from(id & i64::from(POINT_MAX)).unwrap_or(0);
    (id >> 24, point)
}

/// Samples of one point in one bucket.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) bucket: i64,
    /// The newest intake that it has seen.
    pub(super) last_seq: u64,
    samples: Vec<Sample>,
    /// The last few, in time and after `samples`. They lie beside those of the next point: to
    /// touch another page of memory for every sample of a scan was a fifth of the writer's time.
    fresh: [Sample; FRESH],
    n_fresh: usize,
    /// Of the last sample pushed.
    last_te: TimeMs,
    /// `samples` are in order, each time once. Otherwise in order of arrival.
    ordered: bool,
    /// Out of order, they are put in order when they have grown to this.
    sort_at: usize,
}

/// Samples moved to the heap at a time.
const FRESH: usize = 8;
/// Fills unused places.
const NONE: Sample = Sample { te: TimeMs::MIN, reading: Reading::Bad(Fault::Missing) };

impl Tail {
    fn new(bucket: i64) -> Self {
        Self {
            bucket,
            last_seq: 0,
            samples: Vec::new(),
            fresh: [NONE; FRESH],
            n_fresh: 0,
            last_te: TimeMs::MIN,
            ordered: true,
            sort_at: 64,
        }
    }

    #[inline]
    fn push(&mut self, seq: u64, sample: Sample) {
        self.last_seq = seq;
        // No stamp of a chunk is TimeMs::MIN, so an empty tail takes the quick way too.
        if sample.te.0 > self.last_te.0 {
            self.last_te = sample.te;
            if self.n_fresh == FRESH {
                self.settle();
            }
            if let Some(place) = self.fresh.get_mut(self.n_fresh) {
                *place = sample;
                self.n_fresh += 1;
            }
        } else {
            self.push_out_of_order(sample);
        }
    }

    /// Moves the fresh ones to the heap.
    fn settle(&mut self) {
        let fresh = self.fresh.iter().take(self.n_fresh);
        self.samples.extend(fresh);
        self.n_fresh = 0;
    }

    fn fresh(&self) -> &[Sample] {
        self.fresh.get(..self.n_fresh).unwrap_or(&self.fresh)
    }

    fn push_out_of_order(&mut self, sample: Sample) {
        self.settle();
        match self.samples.last_mut() {
            Some(last) if self.ordered && last.te == sample.te => *last = sample,
            Some(_) | None => {
                self.ordered = false;
                self.last_te = sample.te;
                self.samples.push(sample);
            }
        }
        if self.samples.len() >= self.sort_at && !self.ordered {
            order(&mut self.samples);
            self.ordered = true;
            self.last_te = self.samples.last().map_or(TimeMs::MIN, |last| last.te);
            self.sort_at = 64 + 2 * self.samples.len();
        }
    }

    /// Its samples in order, each time once.
    pub(super) fn in_order(&self) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(self.len());
        samples.extend_from_slice(&self.samples);
        samples.extend_from_slice(self.fresh());
        if !self.ordered {
            order(&mut samples);
        }
        samples
    }

    fn len(&self) -> usize {
        self.samples.len() + self.n_fresh
    }
}

/// In order of time; of equal times the one that arrived last stays.
fn order(samples: &mut Vec<Sample>) {
    samples.sort_by_key(|sample| sample.te);
    samples.dedup_by(|later, kept| {
        let same = later.te == kept.te;
        if same {
            *kept = *later;
        }
        same
    });
}

/// Older samples with newer ones laid over them. Both in order, each time once.
pub(super) fn overlay(older: Vec<Sample>, newer: &[Sample]) -> Vec<Sample> {
    match (older.last(), newer.first()) {
        (None, _) => newer.to_vec(),
        (_, None) => older,
        (Some(last), Some(first)) if last.te < first.te => {
            let mut merged = older;
            merged.extend_from_slice(newer);
            merged
        }
        (Some(_), Some(_)) => {
            let mut merged = older;
            merged.extend_from_slice(newer);
            order(&mut merged);
            merged
        }
    }
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
        let wanted = found.unwrap_or_else(|| Tail::new(bucket));
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
        let mut touched: Option<(i64, Touched)> = None;
        // The bucket of the sample before, and its stretch of time: most often the same again.
        let (mut bucket, mut from, mut to) = (0, TimeMs(1), TimeMs(0));
        for (point, te, reading) in &intake.samples {
            if *te < from || to <= *te {
                let Some(found) = bucket_of(*te, book.bucket_ms) else { continue };
                bucket = found;
                from = base(bucket, book.bucket_ms);
                to = from + book.bucket_ms;
            }
            let sample = Sample { te: *te, reading: *reading };
            if skip(bucket, *point) {
                self.see_last(*point, sample);
                continue;
            }
            let opened = self.push(book, seq, bucket, *point, sample);
            match &mut touched {
                Some((last, touched)) if *last == bucket => touched.note(*point, opened),
                Some(_) | None => {
                    if let Some((last, touched)) = touched.take() {
                        book.touch(last, seq, intake.ti, touched);
                    }
                    let mut fresh = Touched::default();
                    fresh.note(*point, opened);
                    touched = Some((bucket, fresh));
                }
            }
        }
        if let Some((last, touched)) = touched {
            book.touch(last, seq, intake.ti, touched);
        }
    }
}

/// Points whose tails an intake opened in one bucket.
#[derive(Default)]
struct Touched {
    opened: Vec<u32>,
}

impl Touched {
    #[inline]
    fn note(&mut self, point: u32, opened: bool) {
        if opened {
            self.opened.push(point);
        }
    }
}

/// A bucket that takes samples.
#[derive(Debug)]
struct Open {
    first_ti: TimeMs,
    last_ti: TimeMs,
    min_seq: u64,
    points: Vec<u32>,
}

/// A bucket that is being sealed, a few points a commit.
#[derive(Debug)]
struct Sealing {
    bucket: i64,
    min_seq: u64,
    points: Vec<u32>,
}

/// The writer's own account of the tails.
#[derive(Debug)]
pub(super) struct Book {
    bucket_ms: i64,
    open: BTreeMap<i64, Open>,
    sealing: VecDeque<Sealing>,
    /// Samples in tails.
    pub(super) samples: usize,
    /// Tails.
    tails: usize,
}

impl Book {
    pub(super) fn new(bucket_ms: i64) -> Self {
        Self { bucket_ms, open: BTreeMap::new(), sealing: VecDeque::new(), samples: 0, tails: 0 }
    }

    fn touch(&mut self, bucket: i64, seq: u64, ti: TimeMs, touched: Touched) {
        match self.open.get_mut(&bucket) {
            Some(open) => {
                open.last_ti = ti;
                open.points.extend(touched.opened);
            }
            // No tail opened: all of them wait in a bucket that is being sealed.
            None if touched.opened.is_empty() => {}
            None => {
                let points = touched.opened;
                let open = Open { first_ti: ti, last_ti: ti, min_seq: seq, points };
                self.open.insert(bucket, open);
            }
        }
    }

    /// Moves the buckets that are due to sealing.
    ///
    /// Due: ended longer ago than the grace time and quiet for as long; or open for a bucket's
    /// length and two grace times, whatever comes. A clock that stepped back counts as quiet.
    pub(super) fn close_due(&mut self, now: TimeMs, options: &StoreOptions) {
        let grace = options.grace_ms;
        let bucket_ms = self.bucket_ms;
        let due = self.open.extract_if(.., |bucket, open| {
            let over = base(*bucket, bucket_ms) + bucket_ms + grace <= now;
            let quiet = now.since(open.last_ti).saturating_abs() >= grace;
            let old = now.since(open.first_ti).saturating_abs() >= bucket_ms + 2 * grace;
            (over && quiet) || old
        });
        self.sealing.extend(due.map(|(bucket, open)| open.close(bucket)));
        if self.is_over(options)
            && self.sealing.is_empty()
            && let Some((bucket, open)) = self.open.pop_first()
        {
            self.sealing.push_back(open.close(bucket));
        }
    }

    /// Memory is over its bound.
    pub(super) fn is_over(&self, options: &StoreOptions) -> bool {
        self.samples + self.tails * TAIL_WEIGHT > options.tail_max
    }

    /// Moves every bucket to sealing.
    pub(super) fn close_all(&mut self) {
        let all = std::mem::take(&mut self.open);
        self.sealing.extend(all.into_iter().map(|(bucket, open)| open.close(bucket)));
    }

    /// The next tails to seal.
    pub(super) fn next_seals(&mut self, most: usize) -> Vec<(i64, u32)> {
        let mut next = Vec::new();
        while next.len() < most
            && let Some(front) = self.sealing.front_mut()
        {
            match front.points.pop() {
                Some(point) => next.push((front.bucket, point)),
                None => drop(self.sealing.pop_front()),
            }
        }
        while self.sealing.front().is_some_and(|front| front.points.is_empty()) {
            self.sealing.pop_front();
        }
        next
    }

    pub(super) fn is_sealing(&self) -> bool {
        !self.sealing.is_empty()
    }

    /// The oldest seq of which a sample is only in the journal.
    pub(super) fn oldest_unsealed(&self) -> Option<u64> {
        let open = self.open.values().map(|open| open.min_seq);
        open.chain(self.sealing.iter().map(|sealing| sealing.min_seq)).min()
    }
}

impl Open {
    fn close(self, bucket: i64) -> Sealing {
        Sealing { bucket, min_seq: self.min_seq, points: self.points }
    }
}
