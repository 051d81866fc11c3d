//go:build !race

package main

// raceBuild is set when the tests, and so the programs they start, look for data races.
const raceBuild = false

// slowdown is how much longer things may take than they are promised to.
const slowdown = 1
