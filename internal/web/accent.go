package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The wash of app.css on paper and on ink: the backgrounds with the least contrast to an accent.
var (
	paper = rgb{0xe9, 0xef, 0xeb}
	ink   = rgb{0x20, 0x30, 0x2f}
)

const accentContrast = 7 // WCAG 2.2 §1.4.6

type rgb [3]float64 // 0 to 255

// accentCSS returns the CSS rule for the operator's colour; "" for none. The colour is darkened on paper and brightened
// on ink until text in it has enough contrast, so every colour gives readable pages.
func accentCSS(accent string) (string, error) {
	if accent == "" {
		return "", nil
	}
	c, err := parseColour(accent)
	if err != nil {
		return "", err
	}
	light := c.towards(rgb{0, 0, 0}, paper)
	dark := c.towards(rgb{255, 255, 255}, ink)
	return fmt.Sprintf(":root{--accent:light-dark(%s,%s)}\n", light, dark), nil
}

func parseColour(s string) (rgb, error) {
	hex, ok := strings.CutPrefix(s, "#")
	n, err := strconv.ParseUint(hex, 16, 32)
	if !ok || len(hex) != 6 || err != nil {
		return rgb{}, fmt.Errorf("accent %q: must be a colour like #0b5f63", s)
	}
	return rgb{float64(n >> 16), float64(n >> 8 & 0xff), float64(n & 0xff)}, nil
}

// towards mixes c with goal in steps of a hundredth until it has enough contrast to ground.
func (c rgb) towards(goal, ground rgb) rgb {
	for i := range 101 {
		mixed := c
		for j := range mixed {
			mixed[j] = math.Round(c[j] + (goal[j]-c[j])*float64(i)/100)
		}
		if contrast(mixed, ground) >= accentContrast {
			return mixed
		}
	}
	return goal
}

// contrast returns the contrast ratio of WCAG 2.2.
func contrast(a, b rgb) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// luminance returns the relative luminance of WCAG 2.2.
func (c rgb) luminance() float64 {
	var l [3]float64
	for i, v := range c {
		v /= 255
		if v <= 0.04045 {
			l[i] = v / 12.92
		} else {
			l[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
}

func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", int(c[0]), int(c[1]), int(c[2])) }
