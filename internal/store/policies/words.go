package policies

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/config"
)

// Differences says in words what differs, a line for each section.
func Differences(before, after []config.Section) []string {
	var lines []string
	for i, now := range after {
		was := before[i]
		var a, b any
		_ = json.Unmarshal(was.Value, &a) // both were written by package config
		_ = json.Unmarshal(now.Value, &b)
		if reflect.DeepEqual(a, b) {
			continue
		}
		old, structured := a.(map[string]any)
		entries, stillStructured := b.(map[string]any)
		if structured || stillStructured {
			lines = append(lines, now.Key+": "+entriesBetween(old, entries))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s: from %s to %s", now.Key, valueWords(a), valueWords(b)))
	}
	return lines
}

func entriesBetween(before, after map[string]any) string {
	var added, removed, changed []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		was, known := before[name]
		switch {
		case !known:
			added = append(added, name)
		case !reflect.DeepEqual(was, after[name]):
			changed = append(changed, name+membersBetween(was, after[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, still := after[name]; !still {
			removed = append(removed, name)
		}
	}
	var parts []string
	for _, part := range []struct {
		verb  string
		names []string
	}{{"added", added}, {"changed", changed}, {"removed", removed}} {
		if len(part.names) > 0 {
			parts = append(parts, part.verb+" "+strings.Join(part.names, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// membersBetween says in parentheses which members of an entry differ.
func membersBetween(before, after any) string {
	was, _ := before.(map[string]any)
	is, _ := after.(map[string]any)
	all := maps.Clone(was)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, is)
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !reflect.DeepEqual(was[name], is[name]) {
			parts = append(parts, fmt.Sprintf("%s from %s to %s", name, valueWords(was[name]), valueWords(is[name])))
		}
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func valueWords(v any) string {
	if v == nil || v == "" {
		return "nothing"
	}
	if _, structured := v.(map[string]any); structured {
		text, _ := json.Marshal(v) // it came from JSON
		return Shortened(string(text), 100)
	}
	return Shortened(fmt.Sprint(v), 100)
}

// Shortened cuts a text that is too long for its place.
func Shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
