//! The profiles of `configs/profiles`, built into the program: a gateway in a plant has no folder of them.

macro_rules! builtin {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../configs/profiles/", $name, ".toml")))
    };
}

/// Name and text of each.
pub const BUILTIN: [(&str, &str); 23] = [
    builtin!("advantech_adam4017p"),
    builtin!("copeland_gasdetector"),
    builtin!("danfoss_vlt"),
    builtin!("geokon_6150f_inclinometer"),
    builtin!("honeywell_e3point"),
    builtin!("honeywell_midas"),
    builtin!("insitu_aquatroll_common"),
    builtin!("liebert_aps_ups"),
    builtin!("lufft_wsxxx"),
    builtin!("moxa_iologik_e1240"),
    builtin!("msa_ultima_x"),
    builtin!("newcosmos_ps7"),
    builtin!("oldham_itrans2"),
    builtin!("pemtech_pt2008"),
    builtin!("pemtech_pt495"),
    builtin!("pneumercator_tms"),
    builtin!("rosemount_5300_htm"),
    builtin!("tripplite_modbuscard_ups"),
    builtin!("vacon20"),
    builtin!("vega_levelsensor"),
    builtin!("waveshare_ai8"),
    builtin!("xunchip_xm9505_rain"),
    builtin!("ysi_h3553t"),
];
