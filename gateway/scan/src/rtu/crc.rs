//! The check of an RTU frame: CRC-16, reflected polynomial 0xA001, start 0xFFFF, low byte first on
//! the wire (Modbus over Serial Line V1.02, 2.5.1.2 and 6.2.2).

/// The check of these bytes. Over a frame with its own check behind it, 0.
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The catalogued check value of CRC-16/MODBUS, and frames of common use.
    #[test]
    fn known_frames_have_their_known_checks() {
        assert_eq!(crc16(b"123456789"), 0x4b37);
        assert_eq!(crc16(&[0x01, 0x03, 0x00, 0x00, 0x00, 0x0a]), 0xcdc5);
        assert_eq!(crc16(&[0x02, 0x07]), 0x1241);
        assert_eq!(crc16(&[0x02, 0x07, 0x41, 0x12]), 0);
    }
}
