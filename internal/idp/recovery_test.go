package idp

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAfterARecoveryNoPasskeyReachesPhrhForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		k := Passkey{KeyProtection: KeyProtectionHardware, AttestationVerifiedAt: now, StrongFrom: now.Add(RecoveryClosed)}
		u := User{RecoveredAt: now}
		for _, wait := range []time.Duration{0, RecoveryClosed - 1} {
			time.Sleep(wait)
			if k.HardwareBound() || (Policy{}).Reaches(k, Requirement{MinimumACR: ACRPhishingResistantHardware}) {
				t.Errorf("after %v it reaches phrh", wait)
			}
			if !u.ClosedUntil(time.Now()).Equal(k.StrongFrom) {
				t.Errorf("after %v closed until %v", wait, u.ClosedUntil(time.Now()))
			}
		}
		time.Sleep(time.Nanosecond)
		if !k.HardwareBound() || !u.ClosedUntil(time.Now()).IsZero() {
			t.Error("after a day it is not open again")
		}
	})
}

func TestASuspendedPasskeyReachesNothing(t *testing.T) {
	if (Policy{}).Reaches(Passkey{SuspendedAt: time.Now()}, Requirement{}) {
		t.Error("it is offered for a step-up")
	}
	if !(Policy{}).Reaches(Passkey{}, Requirement{}) {
		t.Error("another is not")
	}
}
