package geoip

import "time"

// Forget makes the next question look at the file's time, as after a second.
func (f *File) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = time.Time{}
}
