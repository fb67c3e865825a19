package store_test

import (
	"testing"

	"github.com/stepward/stepward/internal/store/storetest"
)

func TestSQLitePassesTheSuite(t *testing.T)   { storetest.Run(t, storetest.Open) }
func TestPostgresPassesTheSuite(t *testing.T) { storetest.Run(t, storetest.OpenPostgres) }
