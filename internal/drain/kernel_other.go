//go:build !linux

package drain

import "net"

// Elsewhere a connection that waits while the port closes is reset, as with net/http.
func ignoreNew(net.Listener) {}

func waiting(net.Listener) bool { return false }

func arrived(net.Conn) bool { return false }
