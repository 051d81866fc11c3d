package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Below the range from which the system takes ports by itself: what is stopped and
// started again in a test finds its port free.
const (
	portMin = 20_000
	portMax = 32_000
)

var givenPorts sync.Map

// freeAddr returns an address of loopback on which nothing listens, neither TCP nor
// UDP, and that this process gives nobody else.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", portMin+rand.IntN(portMax-portMin))
		if _, given := givenPorts.LoadOrStore(addr, true); !given && isFree(addr) {
			return addr
		}
	}
	t.Fatalf("no free port from %d to %d", portMin, portMax)
	return ""
}

func isFree(addr string) bool {
	stream, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer stream.Close()
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	return packets.Close() == nil
}
