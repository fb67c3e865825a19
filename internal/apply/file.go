package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	schema "github.com/stepward/stepward/internal/adminapi/file"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/desired"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/pkg/adminapi"
)

// A file is a file that was read, with its secrets.
type file struct {
	document *document
	state    desired.State
	source   string // its name without folders
	hash     string // SHA-256, hexadecimal
}

// load reads a file; - is standard input. getenv looks secrets up.
func load(path string, getenv func(string) (string, bool)) (*file, error) {
	in, name := io.Reader(os.Stdin), "standard input"
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, errors.New(config.FileReason(err))
		}
		defer f.Close()
		in, name = f, path
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return parse(name, text, getenv)
}

// sourceOf returns the name under which a file manages things.
func sourceOf(path string) string {
	if path == "-" || path == "standard input" {
		return "stepward.yaml"
	}
	return filepath.Base(path)
}

// parse reads the text of a file, and everything that is wrong with it by itself.
func parse(name string, text []byte, getenv func(string) (string, bool)) (*file, error) {
	sum := sha256.Sum256(text)
	f := &file{source: sourceOf(name), hash: hex.EncodeToString(sum[:])}
	var err error
	if f.document, err = readYAML(name, text); f.document == nil {
		return nil, err
	}
	if err != nil {
		return nil, f.told(err)
	}
	faults := schema.Check(f.document.value)
	described, err := json.Marshal(f.document.value)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	var in adminapi.Desired
	if err := json.Unmarshal(described, &in); err != nil && len(faults) == 0 { // what can be read is checked as well
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	for i := range in.Clients {
		for j := range in.Clients[i].Secrets {
			secret := &in.Clients[i].Secrets[j]
			value, fault := lookUp(secret.Value, getenv)
			if fault != "" {
				faults = append(faults, directory.Fault{Field: fmt.Sprintf("clients[%d].secrets[%d].value", i, j), Text: fault})
				value = idp.NewSecret() // so that the rest can be checked
			}
			secret.Value = wire.Hashed("", 0, idp.ClientSecret{Hash: value.Hash()})
		}
	}
	if f.state, err = wire.DesiredOf(in); err != nil {
		more, ok := errors.AsType[directory.Faults](err)
		if !ok {
			return nil, err
		}
		faults = append(faults, more...)
	}
	for _, fault := range f.state.Faults() {
		if !faults.Has(fault.Field) { // the schema says it already
			faults = append(faults, fault)
		}
	}
	return f, f.told(faults.Err())
}

// minSecret is the shortest secret, in bytes: 32 of base64 have 192 bits.
const minSecret = 32

// lookUp returns the secret behind a reference, or says what is wrong with it.
func lookUp(reference string, getenv func(string) (string, bool)) (idp.Secret, string) {
	var text string
	switch kind, rest, _ := strings.Cut(reference, ":"); kind {
	case "env":
		value, set := getenv(rest)
		if !set {
			return "", fmt.Sprintf("the variable %s is not set", rest)
		}
		text = value
	case "file":
		content, err := os.ReadFile(rest)
		if err != nil {
			return "", config.FileReason(err)
		}
		text = strings.TrimRight(string(content), "\r\n")
	default:
		return "", "is a secret in clear, which does not belong into a file: write env:NAME or file:/path"
	}
	other := func(r rune) bool { return r <= ' ' || r > '~' } // RFC 6749 appendix A.2: VSCHAR
	if len(text) < minSecret || len(text) > 256 || strings.ContainsFunc(text, other) {
		return "", "leads to something that is no secret of 32 to 256 characters of ASCII; " +
			"make one with: openssl rand -base64 33"
	}
	return idp.Secret(text), ""
}

// told returns an error with a line for each fault, which begins with its place in the file.
func (f *file) told(err error) error {
	faults, ok := errors.AsType[directory.Faults](err)
	if !ok {
		return err
	}
	lines := []string{fmt.Sprintf("%s cannot be applied; nothing was changed", f.document.name)}
	for _, fault := range faults {
		lines = append(lines, fmt.Sprintf("  %s: %s", f.document.at(fault.Field),
			strings.TrimSpace(fault.Field+" "+fault.Text)))
	}
	return errors.New(strings.Join(lines, "\n"))
}
