// Package operatorkey finds the operator's key, under which the store keeps its secrets: in the settings, from a
// command, from Vault, or in the data folder.
package operatorkey

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/datafile"
	"github.com/stepward/stepward/internal/keys"
)

// length is that of an operator's key, in bytes.
const length = 32

// Load returns the operator's keys, 32 bytes each: the first encrypts everything at rest, the others only
// decrypt what is still under them. They come from the settings, a command, Vault, or the file in the data folder,
// which an embedded installation creates on its first start, readable only by its user.
func Load(ctx context.Context, cfg *config.Config) ([][]byte, error) {
	var found [][]byte
	current, err := currentKey(ctx, cfg)
	if err != nil {
		return nil, err
	}
	found = append(found, current...)
	for _, text := range config.KeysIn(cfg.KeyPrevious.Reveal()) {
		key, err := decodeKey(ctx, cfg, text)
		if err != nil {
			return nil, config.Faults{cfg.Fault("key-previous", err.Error(), nil)}
		}
		found = append(found, key)
	}
	return found, nil
}

// Check reports a key file in the data folder that holds no key. Load makes a missing one.
func Check(cfg *config.Config) error {
	if cfg.Key != "" || cfg.KeyCommand != "" {
		return nil
	}
	text, err := os.ReadFile(cfg.KeyPath())
	if err == nil {
		_, err = keysInFile(cfg, string(text))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func currentKey(ctx context.Context, cfg *config.Config) ([][]byte, error) {
	switch {
	case cfg.Key != "":
		key, err := decodeKey(ctx, cfg, cfg.Key.Reveal())
		if err != nil {
			return nil, config.Faults{cfg.Fault("key", err.Error(), nil)}
		}
		return [][]byte{key}, nil
	case cfg.KeyCommand != "":
		key, err := askCommand(ctx, cfg)
		if err != nil {
			return nil, config.Faults{cfg.Fault("key-command", err.Error(), nil)}
		}
		return [][]byte{key}, nil
	}
	content, err := os.ReadFile(cfg.KeyPath())
	if errors.Is(err, fs.ErrNotExist) {
		content, err = makeKey(cfg.KeyPath())
	}
	if err != nil {
		return nil, config.Faults{cfg.Fault("key", config.FileReason(err), err)}
	}
	found, err := keysInFile(cfg, string(content))
	if err != nil {
		return nil, config.Faults{cfg.Fault("key", err.Error(), nil)}
	}
	return found, nil
}

// keysInFile reads the file in the data folder: the current key, and in a second line the one before, while it is being
// changed.
func keysInFile(cfg *config.Config, content string) (found [][]byte, err error) {
	for _, text := range config.KeysIn(content) {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(key) != length {
			found = nil
			break
		}
		found = append(found, key)
	}
	if found == nil {
		return nil, fmt.Errorf("%q does not hold 32 bytes in base64; restore it from a backup", cfg.KeyPath())
	}
	return found, nil
}

// decodeKey reads a key of the settings: base64, or a ciphertext of Vault.
func decodeKey(ctx context.Context, cfg *config.Config, text string) (key []byte, err error) {
	if strings.HasPrefix(text, config.VaultPrefix) {
		vault, err := keys.NewVault(cfg.KeyVault, cfg.KeyVaultToken)
		if err != nil {
			return nil, err
		}
		if key, err = vault.Decrypt(ctx, text); err != nil {
			return nil, err
		}
	} else if key, err = base64.StdEncoding.DecodeString(text); err != nil {
		return nil, errors.New("not 32 bytes in base64")
	}
	if len(key) != length {
		return nil, fmt.Errorf("it has %d bytes, not 32", len(key))
	}
	return key, nil
}

// askCommand runs the command of the settings, which prints the key. There is no shell.
func askCommand(ctx context.Context, cfg *config.Config) ([]byte, error) {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	words := strings.Fields(cfg.KeyCommand)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
		return nil, fmt.Errorf("%s: %v %s", words[0], err, said)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(out)))
	if err != nil || len(key) != length {
		return nil, fmt.Errorf("%s printed something other than 32 bytes in base64", words[0]) // it may be a secret
	}
	return key, nil
}

// makeKey writes a new key. O_EXCL: if two processes race, the second reads the first one's key.
func makeKey(path string) ([]byte, error) {
	content := []byte(newKey())
	file, err := datafile.Create(path)
	if errors.Is(err, fs.ErrExist) {
		return os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	if _, err := file.Write(content); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return content, errors.Join(file.Sync(), file.Close())
}

func newKey() string {
	key := make([]byte, length)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// Prepend writes a new key before the one in the file of an embedded installation. If there are two already, it
// leaves them: the change was begun before.
func Prepend(cfg *config.Config) error {
	content, err := os.ReadFile(cfg.KeyPath())
	if err != nil {
		return errors.New(config.FileReason(err))
	}
	if _, err := keysInFile(cfg, string(content)); err != nil {
		return err
	}
	if old := config.KeysIn(string(content)); len(old) == 1 {
		return replaceKeyFile(cfg.KeyPath(), newKey()+"\n"+old[0]+"\n")
	}
	return nil
}

// DropOld leaves only the first key in the file.
func DropOld(cfg *config.Config) error {
	content, err := os.ReadFile(cfg.KeyPath())
	if err != nil {
		return errors.New(config.FileReason(err))
	}
	if _, err := keysInFile(cfg, string(content)); err != nil {
		return err
	}
	return replaceKeyFile(cfg.KeyPath(), config.KeysIn(string(content))[0])
}

// replaceKeyFile leaves the old content or the new one, whatever happens.
func replaceKeyFile(path, content string) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".stepward.key-*") // readable only by its user
	if err != nil {
		return errors.New(config.FileReason(err))
	}
	defer os.Remove(file.Name()) //nolint:errcheck // renamed if all went well
	_, err = file.WriteString(content)
	if err = errors.Join(err, datafile.Give(file, filepath.Dir(path)), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
