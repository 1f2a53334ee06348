//! Lines of a GPIO chip, through the kernel's character device: every board has it.

use std::path::PathBuf;

use gpiocdev::Request;
use gpiocdev::line::{Bias, Value};

use super::drive::{Drive, DriveFault};

/// One line of a chip.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) chip: PathBuf,
    pub(crate) offset: u32,
}

/// One output line, opened at its first use and again after a failure.
pub(super) struct GpioOut {
    line: Line,
    active_low: bool,
    read_back: Option<Line>,
    held: Option<(Request, Option<Request>)>,
}

impl GpioOut {
    pub(super) fn new(line: Line, active_low: bool, read_back: Option<Line>) -> Self {
        Self { line, active_low, read_back, held: None }
    }

    fn open(&self, energised: bool) -> Result<(Request, Option<Request>), DriveFault> {
        let mut ask = Request::builder();
        ask.on_chip(&self.line.chip)
            .with_consumer("fengsui")
            .with_line(self.line.offset)
            .as_output(Value::from(energised));
        if self.active_low {
            ask.as_active_low();
        }
        let output = ask.request().map_err(|fault| missing(&self.line, &fault))?;
        let read_back = self.read_back.as_ref().map(|line| input(line, false)).transpose()?;
        Ok((output, read_back))
    }
}

impl Drive for GpioOut {
    fn set(&mut self, energised: bool) -> Result<(), DriveFault> {
        let Some((output, _)) = &self.held else {
            self.held = Some(self.open(energised)?);
            return Ok(());
        };
        output.set_value(self.line.offset, Value::from(energised)).map_err(|fault| {
            let fault = DriveFault::Refused(fault.to_string());
            self.held = None;
            fault
        })
    }

    fn read(&mut self) -> Result<Option<bool>, DriveFault> {
        let (Some(line), Some((_, Some(request)))) = (&self.read_back, &self.held) else {
            return Ok(None);
        };
        level(request, line).map(Some)
    }
}

/// A line to read. Active low: the contact pulls it to ground, and the chip's own resistor up.
pub(super) fn input(line: &Line, active_low: bool) -> Result<Request, DriveFault> {
    let mut ask = Request::builder();
    ask.on_chip(&line.chip).with_consumer("fengsui").with_line(line.offset).as_input();
    if active_low {
        ask.as_active_low().with_bias(Bias::PullUp);
    }
    ask.request().map_err(|fault| missing(line, &fault))
}

pub(super) fn level(request: &Request, line: &Line) -> Result<bool, DriveFault> {
    match request.value(line.offset) {
        Ok(value) => Ok(value == Value::Active),
        Err(fault) => Err(DriveFault::Refused(fault.to_string())),
    }
}

fn missing(line: &Line, fault: &gpiocdev::Error) -> DriveFault {
    DriveFault::Missing(format!("{} line {}: {fault}", line.chip.display(), line.offset))
}
