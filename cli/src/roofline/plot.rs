//! The roofline as text: operations per second over operations per byte, both logarithmic.

const WIDTH: usize = 60;
const HEIGHT: usize = 14;
/// Operations per byte at both ends.
const RANGE: (f64, f64) = (0.5, 8192.0);

/// One roof: its letter, Gop/s where it is flat.
pub type Roof = (char, f64);

/// Draws roofs above the slope of `gb_per_s`, and marks (a letter at so many operations per byte) on the slope or roof.
pub fn draw(gb_per_s: f64, roofs: &[Roof], marks: &[(char, f64)]) -> Vec<String> {
    let top = roofs.iter().fold(1.0f64, |m, r| m.max(r.1)) * 1.5;
    let bottom = gb_per_s * RANGE.0;
    let x_of = |ops: f64| ((ops / RANGE.0).ln() / (RANGE.1 / RANGE.0).ln() * (WIDTH - 1) as f64).round() as usize;
    let y_of = |gops: f64| {
        let part = (gops / bottom).ln() / (top / bottom).ln();
        ((1.0 - part.clamp(0.0, 1.0)) * (HEIGHT - 1) as f64).round() as usize
    };
    let mut grid = vec![[' '; WIDTH]; HEIGHT];
    let mut put = |x: usize, y: usize, c: char| grid[y][x] = c;
    let highest = roofs.iter().fold(0.0f64, |m, r| m.max(r.1));
    for x in 0..WIDTH {
        let ops = RANGE.0 * (RANGE.1 / RANGE.0).powf(x as f64 / (WIDTH - 1) as f64);
        let slope = gb_per_s * ops;
        if slope < highest {
            put(x, y_of(slope), '/');
        }
        for &(letter, gops) in roofs.iter().filter(|r| slope >= r.1) {
            put(x, y_of(gops), if x + 2 == WIDTH { letter } else { '-' });
        }
    }
    for &(letter, ops) in marks.iter().filter(|m| (RANGE.0..=RANGE.1).contains(&m.1)) {
        put(x_of(ops), y_of((gb_per_s * ops).min(highest)), letter);
    }
    let mut lines: Vec<String> = grid
        .iter()
        .enumerate()
        .map(|(y, row)| {
            let gops = top * (bottom / top).powf(y as f64 / (HEIGHT - 1) as f64);
            let label = if y % 3 == 0 { format!("{gops:.0}") } else { String::new() };
            format!("{label:>8} |{}", row.iter().collect::<String>().trim_end())
        })
        .collect();
    lines.push(format!("{:>8} +{}", "Gop/s", "-".repeat(WIDTH)));
    let mut axis = vec![' '; WIDTH + 8];
    for ops in [1u32, 4, 16, 64, 256, 1024, 4096] {
        for (i, c) in ops.to_string().chars().enumerate() {
            axis[x_of(f64::from(ops)) + i] = c;
        }
    }
    lines.push(format!("{:>10}{}  operations per byte", "", axis.iter().collect::<String>().trim_end()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_meets_the_roof() {
        let lines = draw(10.0, &[('i', 1000.0), ('f', 100.0)], &[('D', 3.5), ('P', 1e9)]);
        assert_eq!(lines.len(), HEIGHT + 2);
        let text = lines.join("\n");
        assert!(text.contains("--i") && text.contains("--f") && text.contains('D') && !text.contains('P'), "{text}");
        assert!(lines[HEIGHT - 1].contains("|/"), "{text}");
    }
}
