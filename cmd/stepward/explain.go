package main

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"

	"github.com/alecthomas/kong"

	"github.com/stepward/stepward/internal/duration"
)

// explain words a fault of the command line, and points to the help of the command that it is about.
func explain(err error) error {
	command := "stepward"
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil {
		for _, step := range parse.Context.Path {
			if step.Command != nil {
				command += " " + step.Command.Name
			}
		}
	}
	text := err.Error()
	for _, w := range wordings {
		text = w.pattern.ReplaceAllString(text, w.instead)
	}
	return fmt.Errorf("%s; see: %s --help", text, command)
}

// wordings replace what kong says in words of its own code.
var wordings = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`^(--[a-z-]+): expected .* value but got "EOL".*$`), `$1 needs a value`},
	{
		regexp.MustCompile(`^(--[a-z-]+): expected .* value but got ("-.*") \(.*$`),
		`$1: $2 stands where its value should; write $1=VALUE`,
	},
	{regexp.MustCompile(`^(--[a-z-]+): bool value must be .* but got (".*")$`), `$1: $2 is neither true nor false`},
	{regexp.MustCompile(`^expected "(<[a-z]+>.*)"$`), `$1 is missing`},
	{regexp.MustCompile(`^expected one of (.*)$`), `the command is not complete: add one of $1`},
	{regexp.MustCompile(`^expected "([a-z]+.*)"$`), `the command is not complete: add $1`},
}

func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := ctx.Scan.PopValue("duration")
	if err != nil {
		return err
	}
	d, err := duration.Parse(fmt.Sprint(text.Value))
	if err != nil {
		return err
	}
	target.SetInt(int64(d))
	return nil
}

func decodeInt(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := ctx.Scan.PopValue("number")
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(fmt.Sprint(text.Value), 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not a whole number, such as 10", text.Value)
	}
	target.SetInt(n)
	return nil
}
