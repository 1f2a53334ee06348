//! Lines of a Raspberry Pi through its own library, for images without the character device.
//! The library is no longer maintained: feature `rpi`, never the default.

use rppal::gpio::{Gpio, InputPin, OutputPin};

use super::drive::{Drive, DriveFault};

/// One pin, by its BCM number.
pub(super) struct RpiOut {
    pin: u8,
    active_low: bool,
    read_back: Option<u8>,
    held: Option<(OutputPin, Option<InputPin>)>,
}

impl RpiOut {
    pub(super) fn new(pin: u8, active_low: bool, read_back: Option<u8>) -> Self {
        Self { pin, active_low, read_back, held: None }
    }

    fn open(&self) -> Result<(OutputPin, Option<InputPin>), DriveFault> {
        let missing = |fault: rppal::gpio::Error| DriveFault::Missing(fault.to_string());
        let gpio = Gpio::new().map_err(missing)?;
        let mut output = gpio.get(self.pin).map_err(missing)?.into_output();
        // What sounds goes on sounding when the program ends.
        output.set_reset_on_drop(false);
        let read_back = match self.read_back {
            Some(pin) => Some(gpio.get(pin).map_err(missing)?.into_input()),
            None => None,
        };
        Ok((output, read_back))
    }
}

impl Drive for RpiOut {
    fn set(&mut self, energised: bool) -> Result<(), DriveFault> {
        let held = match self.held.take() {
            Some(held) => held,
            None => self.open()?,
        };
        let (output, _) = self.held.insert(held);
        if energised == self.active_low {
            output.set_low()
        } else {
            output.set_high()
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Option<bool>, DriveFault> {
        Ok(self.held.as_ref().and_then(|(_, input)| Some(input.as_ref()?.is_high())))
    }
}
