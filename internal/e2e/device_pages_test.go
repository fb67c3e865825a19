package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

func TestThePagesOfADevice(t *testing.T) { eachLanguage(t, thePagesOfADevice) }

func thePagesOfADevice(t *testing.T, l *looker) {
	issuer := l.demo.Config.Issuer.String()
	now := time.Now()
	client := idp.Client{
		ID: "tele", Name: "Tele Rundfunkmediathek", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone,
		GrantTypes: []string{idp.GrantDeviceCode}, Scopes: []string{"openid", "profile", "email"}, CreatedAt: now, UpdatedAt: now,
	}
	if err := l.demo.DB.PutClient(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	ask := func() (device map[string]any) {
		t.Helper()
		resp, err := http.PostForm(issuer+"/oauth2/device_authorization", url.Values{"client_id": {"tele"}, "scope": {"openid profile email"}})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&device); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %v %v", resp.StatusCode, err, device)
		}
		return device
	}
	poll := func(device map[string]any) int {
		t.Helper()
		resp, err := http.PostForm(issuer+"/oauth2/token", url.Values{"client_id": {"tele"}, "grant_type": {idp.GrantDeviceCode}, "device_code": {device["device_code"].(string)}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	l.plug(device{synced: true})
	l.signInAs(l.demo, "ada@example.com")

	tv := ask()
	l.open(issuer + "/device")
	l.look("device", "device")
	l.fill("device-code", "bcdf ghjk")
	l.click("device-confirm")
	l.wait(`!!document.querySelector("[data-test=error]")`, "a word about the code")
	l.look("device-wrong", "device")
	l.fill("device-code", tv["user_code"].(string))
	l.click("device-confirm")
	l.wait(`!document.querySelector("[data-test=device-code]")`, "what asks, and from where")
	l.look("device-confirm", "device")
	l.touch(false)
	l.click("device-confirm")
	l.look("device-stepup", "stepup")
	l.touch(true)
	l.click("passkey-stepup")
	l.wait(`location.pathname === "/device/connected"`, "the end")
	l.look("device-connected", "device")
	if status := poll(tv); status != http.StatusOK {
		t.Errorf("the device: %d", status)
	}

	tv = ask()
	l.open(tv["verification_uri_complete"].(string))
	l.look("device-link", "device")
	l.follow("device-confirm")
	l.click("cancel")
	l.wait(`location.pathname === "/device/refused"`, "the end")
	l.look("device-refused", "device")
	if status := poll(tv); status != http.StatusBadRequest {
		t.Errorf("the refused device: %d", status)
	}
}
