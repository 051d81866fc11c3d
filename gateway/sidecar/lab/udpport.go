package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// udpPort returns the node's own UDP port: a free one at first, the same one ever
// after. Real homes keep theirs (41641), and Tailscale v1.102 goes on sending to
// the old port of a restarted peer for six seconds.
func udpPort(dir string) (uint16, error) {
	path := filepath.Join(dir, "udp-port")
	if text, err := os.ReadFile(path); err == nil {
		if port, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16); err == nil {
			return uint16(port), nil
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	port := conn.LocalAddr().(*net.UDPAddr).Port
	return uint16(port), os.WriteFile(path, fmt.Appendln(nil, port), 0o600)
}
