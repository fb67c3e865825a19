//go:build unix

package backup_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/backup"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/operatorkey"
	"github.com/stepward/stepward/internal/store"
)

// The server runs as a user of its own, and an operator types the commands as root: the server must start afterwards.
func TestWhatRootRestoresBelongsToTheOwnerOfTheFolder(t *testing.T) {
	const somebody = 65534
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	if err := os.Chown(dir, somebody, somebody); err != nil {
		t.Skip("only root can make files of others")
	}
	db := openStore(t, store.Config{Dir: dir})
	must(t, db.CreateUser(t.Context(), idp.NewUser("ada@example.com", "Ada", time.Now())))
	must(t, db.Close())
	key := filepath.Join(dir, "stepward.key")
	must(t, os.WriteFile(key, []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), 0o600))
	e := env(t, "STEPWARD_DATA_DIR="+dir)
	cfg, err := config.Load(config.Sources{Environ: []string{"STEPWARD_DATA_DIR=" + dir}})
	must(t, err)
	must(t, operatorkey.Prepend(cfg))

	must(t, backup.Backup{File: file}.Run(e))
	must(t, backup.Restore{File: file, Replace: true}.Run(e))
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, entry := range entries {
		info, err := entry.Info()
		must(t, err)
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != somebody {
			t.Errorf("%s belongs to %d", entry.Name(), uid)
		}
	}
	if len(entries) < 4 { // store, the one before, lock, key
		t.Errorf("%v", entries)
	}
}
