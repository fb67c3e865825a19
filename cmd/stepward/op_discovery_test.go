package main

import (
	"testing"
)

func TestOP01TheIssuerIsWhereItsMetadataIs(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	if meta := o.metadata(); meta["issuer"] != o.issuer {
		t.Errorf("issuer %v, fetched from %s", meta["issuer"], o.issuer)
	}
}
